"""Settings as they hold for a tenant: what the tenant says, else what the stack does. Pure."""

from collections.abc import Mapping
from typing import Self

from sluice.cache.policy import CachePolicy
from sluice.chat import ChatRequest
from sluice.conversations.window import WindowLimits
from sluice.guards.rules import GUARD_MODEL_ANSWER, GUARD_MODEL_PROMPT, STRICTNESS, Mode, modes_up_to, own_modes
from sluice.loading.dataclass import dataclass
from sluice.settings import Settings
from sluice.tenants.choices import chosen as chosen_by
from sluice.tenants.tenant import GuardModels, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """What holds for the requests of a tenant.

    `guard_modes` are by rule id, a rule's own mode holds where they say nothing; a guard model whose rule is off is not
    among `guard_models`. `cache_ttl_s` is for answers that no
    task keeps for a time of its own. `default_max_tokens` and `default_temperature` are for requests that state none;
    0 and None leave them without. With `is_routing_enabled` false, deployments are asked by their priority alone.
    """

    guard_modes: Mapping[str, Mode]
    guard_models: GuardModels
    cache_policy: CachePolicy
    cache_ttl_s: int
    default_max_tokens: int
    default_temperature: float | None
    conversation: WindowLimits
    is_routing_enabled: bool

    @classmethod
    def of(cls, tenant: Tenant, settings: Settings) -> Self:
        """What holds for `tenant` in a stack with these settings."""
        chosen = tenant.guard_models
        modes = _guard_modes(tenant, Mode(_own(tenant.guard_mode, settings.guard_mode)))
        return cls(
            guard_modes=modes,
            guard_models=GuardModels(
                prompt=None if modes.get(GUARD_MODEL_PROMPT) is Mode.OFF else chosen.prompt,
                answer=None if modes.get(GUARD_MODEL_ANSWER) is Mode.OFF else chosen.answer,
            ),
            cache_policy=CachePolicy(_own(tenant.cache_policy, settings.cache_policy)),
            cache_ttl_s=_own(tenant.cache_ttl_s, settings.cache_ttl_s),
            default_max_tokens=_own(tenant.default_max_tokens, settings.default_max_tokens),
            default_temperature=_own(tenant.default_temperature, settings.default_temperature),
            conversation=WindowLimits(
                messages=_own(tenant.conversation_messages, settings.conversation_messages),
                tokens=_own(tenant.conversation_tokens, settings.conversation_tokens),
            ),
            is_routing_enabled=_own(tenant.is_routing_enabled, settings.is_routing_enabled),
        )

    @property
    def is_caching(self) -> bool:
        """Whether answers are cached at all: what is off is neither kept nor served."""
        return self.cache_policy is not CachePolicy.OFF and self.cache_ttl_s > 0

    def answer_lifetime_s(self, task_s: int | None) -> int:
        """How long an answer is cached: as its task says, else as is usual; 0 is not at all.

        Where nothing is to be kept, no task overrules that.
        """
        if not self.is_caching:
            return 0
        return self.cache_ttl_s if task_s is None else task_s

    def tempered(self, request: ChatRequest) -> ChatRequest:
        """`request` as it is sent, with a temperature if it states none.

        Whoever judges what the caller wants looks at the request without it.
        """
        if self.default_temperature is None or request.temperature is not None:
            return request
        return request.model_copy(update={"temperature": self.default_temperature})


def _own[Value](said: Value | None, usual: Value) -> Value:
    return usual if said is None else said


def smart_share(tenant: Tenant, settings: Settings) -> tuple[float, bool]:
    """What per cent a smart model may answer of what `auto` chooses, and whether that is of the tenant's requests."""
    own, wanted = tenant.smart_model_max_percent, chosen_by(tenant, "models").get("smart_model_max_percent")
    usual = settings.smart_model_max_percent if own is None else own
    return usual if wanted is None else min(usual, wanted), own is not None or wanted is not None


def _guard_modes(tenant: Tenant, most: Mode) -> Mapping[str, Mode]:
    """Modes by rule: as an admin says, where rules do at most `most`; and as the tenant chose, where that is more."""
    said = {rule_id: Mode(mode) for rule_id, mode in tenant.guard_modes.items()}
    choice = chosen_by(tenant, "policies")
    if not choice:
        return {**modes_up_to(most), **said}
    wanted = Mode(choice.get("guard_mode", most))
    modes = {**modes_up_to(_stricter(most, wanted)), **said}
    for rule_id, mode in choice.get("guard_modes", {}).items():
        usual = modes.get(rule_id) or own_modes().get(rule_id, Mode.OFF)
        modes[rule_id] = _stricter(usual, Mode(mode))
    return modes


def _stricter(one: Mode, other: Mode) -> Mode:
    return max(one, other, key=lambda mode: STRICTNESS[mode])
