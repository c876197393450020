"""Quota of deployments: what a request takes from a deployment's limits, how it has done, and what is left of it."""

import math
from collections.abc import Iterable, Sequence
from functools import cache

from sluice.chat import Usage
from sluice.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from sluice.loading.dataclass import dataclass
from sluice.providers.base import ProviderHealth, RateLimitHeaders
from sluice.providers.deployment import Deployment, DeploymentLimit
from sluice.quota.circuit import Verdict
from sluice.quota.estimate import TokenEstimate, TokenHabits, estimate, upper_bound
from sluice.quota.item import BlockReason
from sluice.quota.learning import Lesson
from sluice.quota.ledger import Ledger
from sluice.quota.leftover import kept_free_percent
from sluice.quota.limits import Limit, deployment_limit, kept_free
from sluice.quota.request_size import ModelBounds, RequestSize
from sluice.quota.reservation import Reservation
from sluice.quota.scopes import deployment_scope
from sluice.quota.status import NEVER_USED, QuotaSnapshot, free_share
from sluice.telemetry.best_effort import best_effort

# What a 429 without a retry-after stands for.
_DEFAULT_BLOCK_S = 5.0
# A block only ever moves later, so a provider that names the year 3000 must not be believed.
LONGEST_BLOCK_S = 86_400.0
# For how long all processes leave a deployment alone whose credential or model its provider refused.
_REFUSED_MS = 60_000
_SECONDS_AGO_MS = 10_000
# What a provider counts of a call that it answered with an error.
_REQUESTS = ("requests_per_minute", "requests_per_day")
# Reserved for a character count before the answer is known.
_CHARACTERS_PER_COMPLETION_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Answered[T]:
    """A deployment's answer. Its reservation is still to be settled."""

    deployment: Deployment
    reservation: Reservation
    size: RequestSize
    estimate: TokenEstimate
    answer: T
    attempts: int
    response_time_ms: float  # until the answer, or the first of it


class DeploymentQuota:
    """The quota of all deployments. Safe to share between threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def prefetch(self, deployments: Iterable[Deployment]) -> None:
        """See how those stand that this process has not seen lately: what was learned of them, blocks and failures."""
        with best_effort("reading the quota"):
            self._ledger.prefetch([scope_of(each) for each in deployments])

    def are_left_alone(self, deployments: Sequence[Deployment]) -> bool:
        """Whether all of `deployments` have failed too often lately, as of some seconds ago."""
        with best_effort("reading the quota"):
            self._ledger.prefetch([scope_of(each) for each in deployments], _SECONDS_AGO_MS)
        now_ms = self._ledger.now_ms()
        return all(self._seen(deployment).circuit.wait_ms(now_ms) for deployment in deployments)

    def health(self, deployment: Deployment) -> ProviderHealth:
        """How the deployment has done, as this process last saw."""
        return health_from(self._seen(deployment))

    def free_share(self, deployment: Deployment) -> float:
        """The free part of its scarcest limit, in 0..1, as this process last saw."""
        return free_share(limits_of(deployment), self._seen(deployment), self._ledger.now_ms())

    def estimate(self, deployment: Deployment, size: RequestSize) -> TokenEstimate:
        """How many tokens a request of this size may cost there."""
        habits = TokenHabits.from_notes(self._seen(deployment).notes)
        return estimate(size, habits, self.bounds(deployment))

    def upper_bound(self, deployment: Deployment, size: RequestSize) -> TokenEstimate:
        """More tokens than a request of this size can cost there."""
        return upper_bound(size, self.bounds(deployment))

    def bounds(self, deployment: Deployment) -> ModelBounds:
        """What its model can take and say, and what its limits of tokens leave, as this process last saw."""
        model, seen, now_ms = deployment.model, self._seen(deployment), self._ledger.now_ms()
        limits = [limit for limit in limits_of(deployment) if limit.name.startswith("tokens")]
        statuses = [seen.status(limit, now_ms) for limit in limits]
        return ModelBounds(
            context_window=model.prompt_window,
            max_completion_tokens=model.max_completion_tokens,
            tokenizer=model.tokenizer,
            image_tokens=model.image_tokens,
            limit_tokens=min((each.capacity for each in statuses), default=None),
            room_tokens=min((each.remaining for each in statuses), default=None),
        )

    def most_requests(self, deployment: Deployment) -> int | None:
        """How many requests its tightest limit ever has for who asks now; None if it has no such limit."""
        seen, now_ms = self._seen(deployment), self._ledger.now_ms()
        limits = [limit for limit in limits_of(deployment) if limit.name.startswith("requests")]
        capacities = [seen.status(limit, now_ms).capacity for limit in limits]
        return min((each - kept_free(each, kept_free_percent()) for each in capacities), default=None)

    def reserve(self, deployment: Deployment, size: RequestSize, tokens: TokenEstimate) -> Reservation:
        """Take what a request may cost. Raises QuotaDeniedError, LedgerUnavailableError."""
        costs = {
            "requests_per_minute": 1,
            "requests_per_day": 1,
            "tokens_per_minute": tokens.total_tokens,
            "tokens_per_day": tokens.total_tokens,
            "characters_per_month": size.characters + _CHARACTERS_PER_COMPLETION_TOKEN * tokens.completion_tokens,
        }
        return self._ledger.reserve(scope_of(deployment), limits_of(deployment), costs)

    def is_late(self, reservation: Reservation) -> bool:
        """Whether the provider may count the request later than the reservation does."""
        return not self._ledger.is_fresh(reservation)

    def report_success(self, reservation: Reservation) -> None:
        """Let others call again at once, if this was the call that tried whether the deployment works."""
        with best_effort("closing a circuit"):
            self._ledger.report_success(reservation)

    def settle(
        self,
        answered: Answered[object],
        usage: Usage,
        characters: int,
        headers: RateLimitHeaders,
        error: ProviderError | None = None,
    ) -> None:
        """Correct the reservation of an answer to its `usage` and number of `characters`, and learn from it.

        `error` is what a stream broke off with.
        """
        reservation, size = answered.reservation, answered.size
        seen = self._ledger.seen(reservation.scope) or reservation.snapshot
        habits = TokenHabits.from_notes(seen.notes).after(size, usage, self.bounds(answered.deployment))
        actual = {
            "tokens_per_minute": usage.total_tokens,
            "tokens_per_day": usage.total_tokens,
            "characters_per_month": size.characters + characters,
        }
        health = health_from(seen)
        health = health.after_success(answered.response_time_ms) if error is None else health.after_failure()
        with best_effort("settling a deployment"):
            self._ledger.settle(reservation, actual, _notes_of(health) | habits.notes(), verdict=_verdict(error))
            self._ledger.learn(reservation, Lesson(headers.capacities, headers.remaining))

    def settle_failure(self, reservation: Reservation, error: ProviderError) -> None:
        """Settle a call that failed.

        Once it was sent, a provider may count a request whatever it answers, so its requests stay taken; tokens stay
        if it may have billed them all the same. What never reached it goes back.
        """
        seen = self._ledger.seen(reservation.scope) or reservation.snapshot
        verdict = _verdict(error)
        notes = _notes_of(health_from(seen).after_failure()) if verdict else {}
        kept = reservation.taken if error.may_be_billed else _REQUESTS if error.was_sent else ()
        actual = {name: 0 for name in reservation.taken if name not in kept}
        with best_effort("settling a failed call"):
            self._ledger.settle(reservation, actual, notes, verdict=verdict)
        if isinstance(error, ProviderRateLimitedError):
            self._block(reservation.scope, block_ms(error), BlockReason.RATE_LIMITED)

    def give_back(self, reservation: Reservation) -> None:
        """Undo a reservation that was not used."""
        with best_effort("giving back a reservation"):
            self._ledger.give_back(reservation)

    def keep(self, reservation: Reservation) -> None:
        """Leave a reservation as it is: what became of it will not be known."""
        with best_effort("settling a deployment"):
            self._ledger.settle(reservation, {})

    def refuse(self, deployment: Deployment, reason: BlockReason, tenant: str | None) -> None:
        """Keep all processes from a deployment whose credential or model its provider refuses, for a short while.

        Where it may be for what one `tenant` asked, only once another tenant was refused as well.
        """
        scope = scope_of(deployment)
        with best_effort("suspecting a deployment"):
            if tenant is None or self._ledger.suspect(scope, tenant):
                self._block(scope, _REFUSED_MS, reason)

    def _block(self, scope: str, duration_ms: int, reason: BlockReason) -> None:
        with best_effort("blocking a deployment"):
            self._ledger.block(scope, self._ledger.now_ms() + duration_ms, reason)

    def _seen(self, deployment: Deployment) -> QuotaSnapshot:
        return self._ledger.seen(scope_of(deployment)) or NEVER_USED


def _verdict(error: ProviderError | None) -> Verdict | None:
    """What a call says of its deployment's health: nothing, if the provider refused it."""
    if error is None:
        return Verdict.SUCCESS
    is_failure = isinstance(error, ProviderUnavailableError | ProviderTimeoutError | ProviderProtocolError)
    return Verdict.FAILURE if is_failure else None


def block_ms(error: ProviderRateLimitedError) -> int:
    """For how long a provider that answered 429 is left alone."""
    pause_s = _DEFAULT_BLOCK_S if error.retry_after_s is None else error.retry_after_s
    return math.ceil(min(pause_s, LONGEST_BLOCK_S) * 1000)


def scope_of(deployment: Deployment) -> str:
    """The ledger's name for a deployment."""
    return deployment_scope(deployment.id)


def limits_of(deployment: Deployment) -> tuple[Limit, ...]:
    """A deployment's limits with the windows they count over."""
    return _limits(deployment.limits)


@cache
def _limits(limits: tuple[DeploymentLimit, ...]) -> tuple[Limit, ...]:
    return tuple(deployment_limit(name, capacity, is_fixed=is_fixed) for name, capacity, is_fixed in limits)


def health_from(seen: QuotaSnapshot) -> ProviderHealth:
    """A deployment's health as the ledger keeps it."""
    notes, circuit = seen.notes, seen.circuit
    return ProviderHealth(
        notes.get("success_rate", 1.0),
        circuit.failures,
        notes.get("response_time_ms"),
        unhealthy_after=circuit.breaker.failures_to_open,
    )


def _notes_of(health: ProviderHealth) -> dict[str, float]:
    notes = {"success_rate": health.success_rate}
    return notes if health.response_time_ms is None else notes | {"response_time_ms": health.response_time_ms}
