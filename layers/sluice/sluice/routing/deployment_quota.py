"""Quota of deployments: what a request takes from a deployment's limits, how it has done, and what is left of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sluice.chat import ChatRequest, Usage
from sluice.errors import ProviderError, ProviderRateLimitedError, ProviderRejectedError, ProviderSpoiledError
from sluice.providers.base import ProviderHealth, RateLimitHeaders
from sluice.providers.registry import Deployment, DeploymentLimit
from sluice.quota.estimate import TokenEstimate, TokenHabits, estimate, prompt_characters
from sluice.quota.item import Reservation
from sluice.quota.ledger import Ledger
from sluice.quota.limits import DEPLOYMENT_WINDOWS, Limit, free_share, standing
from sluice.quota.request_size import ModelBounds, RequestSize
from sluice.telemetry import best_effort

# What a 429 without a retry-after stands for.
_DEFAULT_BLOCK_S = 5.0
# A block only ever moves later, so a provider that names the year 3000 must not be believed.
_LONGEST_BLOCK_S = 86_400.0
# Reserved for a character count before the answer is known.
_CHARACTERS_PER_COMPLETION_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Answered[T]:
    """A deployment's answer. Its reservation is still to be settled."""

    deployment: Deployment
    reservation: Reservation
    estimate: TokenEstimate
    answer: T
    attempts: int
    response_time_ms: float  # until the answer, or the first of it


class DeploymentQuota:
    """The quota of all deployments. Safe to share between threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def health(self, deployment: Deployment) -> ProviderHealth:
        """How the deployment has done, as this process last saw."""
        seen = self._ledger.seen(scope_of(deployment))
        return health_from(seen.notes if seen else {})

    def free_share(self, deployment: Deployment) -> float:
        """The free part of its scarcest limit, in 0..1, as this process last saw."""
        seen = self._ledger.seen(scope_of(deployment))
        return free_share(limits_of(deployment), seen.state if seen else None, self._ledger.now_ms())

    def estimate(self, deployment: Deployment, request: ChatRequest) -> TokenEstimate:
        """How many tokens `request` may cost there."""
        seen = self._ledger.seen(scope_of(deployment))
        habits = TokenHabits.from_notes(seen.notes if seen else {})
        return estimate(RequestSize.of(request), habits, self.bounds(deployment))

    def bounds(self, deployment: Deployment) -> ModelBounds:
        """What its model can take and say, and what its limits of tokens leave, as this process last saw."""
        model = deployment.model
        seen = self._ledger.seen(scope_of(deployment))
        limits = [limit for limit in limits_of(deployment) if limit.name.startswith("tokens")]
        stands = [standing(limit, seen.state if seen else None, self._ledger.now_ms()) for limit in limits]
        return ModelBounds(
            context_window=model.context_window,
            max_completion_tokens=model.max_completion_tokens,
            tokenizer=model.tokenizer,
            image_tokens=model.image_tokens,
            limit_tokens=min((each.capacity for each in stands), default=None),
            room_tokens=min((each.remaining for each in stands), default=None),
        )

    def reserve(self, deployment: Deployment, request: ChatRequest, tokens: TokenEstimate) -> Reservation:
        """Take what `request` may cost. Raises QuotaDeniedError, LedgerUnavailableError."""
        costs = {
            "requests_per_minute": 1,
            "requests_per_day": 1,
            "tokens_per_minute": tokens.total_tokens,
            "tokens_per_day": tokens.total_tokens,
            "characters_per_month": prompt_characters(request)
            + _CHARACTERS_PER_COMPLETION_TOKEN * tokens.completion_tokens,
        }
        return self._ledger.reserve(scope_of(deployment), limits_of(deployment), costs, hold=True)

    def is_late(self, reservation: Reservation) -> bool:
        """Whether the provider may count the request later than the reservation does.

        The ledger's margin is one slice: what is sent in the slice it was reserved in has at least that long to arrive.
        """
        now_ms = self._ledger.now_ms()
        return any(DEPLOYMENT_WINDOWS[name].slice_at(now_ms) > index for name, (index, _) in reservation.taken.items())

    def settle(
        self,
        answered: Answered[object],
        request: ChatRequest,
        usage: Usage,
        characters: int,
        headers: RateLimitHeaders,
        error: ProviderError | None = None,
    ) -> None:
        """Correct the reservation of an answer to its `usage` and number of `characters`, and learn from it.

        `error` is what a stream broke off with.
        """
        notes = self._notes(answered.reservation)
        size, bounds = RequestSize.of(request), self.bounds(answered.deployment)
        habits = TokenHabits.from_notes(notes).after(size, usage, bounds)
        actual = {
            "tokens_per_minute": usage.total_tokens,
            "tokens_per_day": usage.total_tokens,
            "characters_per_month": prompt_characters(request) + characters,
        }
        health = health_from(notes)
        health = health.after_success(answered.response_time_ms) if error is None else health.after_failure()
        with best_effort("settling a deployment"):
            self._ledger.settle(answered.reservation, actual, _notes_of(health) | habits.notes())
            limits = limits_of(answered.deployment)
            self._ledger.learn(answered.reservation, limits, headers.capacities, headers.remaining)

    def settle_failure(self, deployment: Deployment, reservation: Reservation, error: ProviderError) -> None:
        """Give back what a failed call had reserved, unless the provider may have counted it all the same."""
        notes: dict[str, float] = {}
        if not isinstance(error, ProviderRateLimitedError | ProviderRejectedError | ProviderSpoiledError):
            notes = _notes_of(health_from(self._notes(reservation)).after_failure())
        with best_effort("giving back a reservation"):
            self._ledger.settle(reservation, {} if error.may_be_billed else dict.fromkeys(reservation.taken, 0), notes)
        if isinstance(error, ProviderRateLimitedError):
            with best_effort("blocking a deployment"):
                self._ledger.block(reservation.scope, self._ledger.now_ms() + block_ms(error))

    def give_back(self, reservation: Reservation) -> None:
        """Undo a reservation that was not used."""
        with best_effort("giving back a reservation"):
            self._ledger.give_back(reservation)

    def keep(self, reservation: Reservation) -> None:
        """Close a reservation as it is: what became of it will not be known."""
        with best_effort("settling a deployment"):
            self._ledger.settle(reservation, {})

    def _notes(self, reservation: Reservation) -> Mapping[str, float]:
        seen = self._ledger.seen(reservation.scope)
        return seen.notes if seen else reservation.notes


def block_ms(error: ProviderRateLimitedError) -> int:
    """For how long a provider that answered 429 is left alone."""
    pause_s = _DEFAULT_BLOCK_S if error.retry_after_s is None else error.retry_after_s
    return math.ceil(min(pause_s, _LONGEST_BLOCK_S) * 1000)


def scope_of(deployment: Deployment) -> str:
    """The ledger's name for a deployment."""
    return f"deployment#{deployment.id}"


def limits_of(deployment: Deployment) -> tuple[Limit, ...]:
    """A deployment's limits with the windows they count over."""
    return _limits(deployment.limits)


@cache
def _limits(limits: tuple[DeploymentLimit, ...]) -> tuple[Limit, ...]:
    return tuple(Limit(name, capacity, DEPLOYMENT_WINDOWS[name], is_fixed) for name, capacity, is_fixed in limits)


def health_from(notes: Mapping[str, float]) -> ProviderHealth:
    """A deployment's health as the ledger keeps it."""
    return ProviderHealth(
        notes.get("success_rate", 1.0), int(notes.get("consecutive_failures", 0)), notes.get("response_time_ms")
    )


def _notes_of(health: ProviderHealth) -> dict[str, float]:
    notes = {"success_rate": health.success_rate, "consecutive_failures": health.consecutive_failures}
    return notes if health.response_time_ms is None else notes | {"response_time_ms": health.response_time_ms}
