"""A request that was let in, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sluice.cache.store import CachedAnswer
from sluice.chat import ChatRequest, ResponseFormat
from sluice.conversations.memory import OpenTurn
from sluice.gateway.provenance import Provenance, RequestLimit
from sluice.guards.rules import Finding, Mode
from sluice.money import to_usd
from sluice.quota.item import Reservation
from sluice.quota.limits import Standing
from sluice.routing.deployment_quota import Routed
from sluice.routing.plan import Plan
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Tenant


class Outcome(StrEnum):
    """What became of a request that was let in."""

    ANSWERED = "answered"
    WITHHELD = "withheld"
    """The answer broke a rule."""
    REPEATED = "repeated"
    """The answer was not the JSON that was asked for; it is asked for once more."""
    BROKE_OFF = "broke off"
    """The provider failed in the middle of a stream."""
    ABANDONED = "abandoned"
    """The caller hung up in the middle of a stream."""
    REFUSED = "refused"
    """Nobody answered; nothing was spent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was let in: judged, planned, counted for its caller, and looked up in the cache."""

    request: ChatRequest
    principal: Principal
    request_id: str
    plan: Plan
    findings: tuple[Finding, ...]
    cache_key: str
    cached: CachedAnswer | None
    cache_generation: int | None
    """None if the cache could not be asked: then the answer is not cached either."""
    caller: Reservation
    caller_standing: Standing
    started_s: float  # monotonic
    skips_cache: bool
    cache_ttl_s: int
    answer_format: ResponseFormat | None
    turn: OpenTurn | None

    @property
    def guard_modes(self) -> Mapping[str, Mode]:
        """The tenant's modes by rule."""
        return guard_modes(self.principal.tenant)

    @property
    def wants_usage(self) -> bool:
        """Whether the caller of a stream asked for a chunk with the usage."""
        return self.request.stream_options is not None and self.request.stream_options.include_usage

    def headers(
        self,
        routed: Routed[object] | None = None,
        cost_nanousd: int | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> dict[str, str]:
        """How the answer came about, and what is left of the caller's requests. Without `routed` it is cached."""
        left = self.caller_standing
        limit = RequestLimit(left.capacity, left.remaining, left.resets_in_ms / 1000)
        return {**self.provenance(routed, cost_nanousd, findings).headers(), **limit.headers()}

    def provenance(
        self, routed: Routed[object] | None, cost_nanousd: int | None, findings: tuple[Finding, ...]
    ) -> Provenance:
        """How the answer came about."""
        flagged = tuple(dict.fromkeys(finding.rule_id for finding in (*self.findings, *findings)))
        complexity = str(self.plan.complexity)
        if routed is None and self.cached is not None:
            return Provenance(
                self.request_id, self.cached.deployment, self.cached.model, complexity, "hit", 0, Decimal(0), flagged
            )
        return Provenance(
            request_id=self.request_id,
            deployment=routed.deployment.id if routed else None,
            model=routed.deployment.model.id if routed else None,
            complexity=complexity,
            cache="skipped" if self.skips_cache else "miss",
            attempts=routed.attempts if routed else None,
            cost_usd=None if cost_nanousd is None else to_usd(cost_nanousd),
            flagged_rules=flagged,
        )


def guard_modes(tenant: Tenant) -> Mapping[str, Mode]:
    """The tenant's modes by rule id."""
    return {rule_id: Mode(mode) for rule_id, mode in tenant.guard_modes.items()}
