"""Router: finds a deployment that can take a request, and goes down the list when one fails."""

import math
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from enum import Enum, auto
from types import TracebackType
from typing import Protocol, Self

from aws_lambda_powertools import Logger

from sluice.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    LedgerUnavailableError,
    NoProviderError,
    NotFoundError,
    ProviderAuthenticationError,
    ProviderContextError,
    ProviderError,
    ProviderModelError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnsuitedError,
    QuotaExceededError,
    SluiceError,
)
from sluice.loading.dataclass import dataclass
from sluice.providers.base import Provider
from sluice.providers.deployment import Deployment
from sluice.providers.failures import rejection
from sluice.providers.registry import Registry
from sluice.quota.item import BlockReason
from sluice.quota.ledger import QuotaDeniedError
from sluice.quota.limits import CIRCUIT_OPEN, Denial
from sluice.quota.request_size import RequestSize
from sluice.quota.reservation import Reservation
from sluice.quota.wait_words import in_words
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import LONGEST_BLOCK_S, Answered, DeploymentQuota, block_ms
from sluice.routing.scoring import Weights, rank, score
from sluice.telemetry.metrics import emit_metric

logger = Logger(child=True)

RETRY_SHARE = 0.2
"""What part of a deployment's recent requests may be retries."""

# Less than this is not worth beginning a call with.
_SHORTEST_CALL_S = 0.25
_PAYMENT_REQUIRED = 402
# A reservation is late when its second has passed before the request is sent, one in a hundred or so.
_MAX_LATE_RESERVATIONS = 5

_NOT_SERVED = "model not served"
_UNSUITED = "cannot take this request"
_TRIED_ENOUGH = "no attempt left"
# Denials that are no limit's: the deployment is left alone for another reason.
_REASONS = {
    CIRCUIT_OPEN: "circuit open",
    BlockReason.CREDENTIAL_REFUSED.denial: "credential refused",
    BlockReason.MODEL_NOT_SERVED.denial: _NOT_SERVED,
}
_TIMEOUT = "Timeout"
# What a client's own retry does not change.
_LASTING = {"Authentication", _REASONS[BlockReason.CREDENTIAL_REFUSED.denial], _NOT_SERVED, _UNSUITED}

# From the operating system: functions restored from one snapshot would all draw the same numbers from a seeded one.
_jitter = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often all deployments are tried again, and how many calls of providers that may take; 0: any number."""

    retries: int = 3
    attempts: int = 0


class Asked(Protocol):
    """A request, whatever it asks of a model, as far as the router looks at it."""

    @property
    def is_plain(self) -> bool:
        """Whether what a provider refuses of it, it would refuse of anybody."""


@dataclass(slots=True, kw_only=True)
class Search:
    """The search for a deployment that answers a request, and what happened to those that were tried.

    `groups` are deployments in order of preference: all of a group are tried, best first, before any of the next.
    `registry` is theirs, and `tenant` is who asks. `embeds`: vectors are wanted, and no chat.
    """

    request: Asked
    size: RequestSize
    tenant: str
    groups: Sequence[Sequence[Deployment]]
    deadline: Deadline
    registry: Registry
    embeds: bool = False
    attempts: int = 0
    was_asked: bool = False
    """Whether a provider may have seen the request."""
    may_recover: bool = False
    _reasons: dict[str, str] = field(default_factory=dict)
    _denials: dict[str, Denial] = field(default_factory=dict)
    _uncounted: LedgerUnavailableError | None = None
    _rejection: SluiceError | None = None
    _waits_s: dict[str, float] = field(default_factory=dict)
    _asked_again: set[str] = field(default_factory=set)
    _too_small_window: int = 0

    @property
    def asked_wait_s(self) -> float:
        """The shortest wait that a provider which failed in passing asked for in this round."""
        return min(self._waits_s.values(), default=0.0)

    @property
    def reasons(self) -> Sequence[tuple[str, str]]:
        """The deployments that did not answer, and why."""
        return tuple(self._reasons.items())

    def begin_round(self) -> None:
        """Begin to go through all deployments: what was out of quota may have some again."""
        self.may_recover = False
        self._denials = {}
        self._waits_s = {}

    def may_ask_again(self, deployment: Deployment) -> bool:
        """Whether a deployment may be asked once more at once: the first time only."""
        is_first = deployment.id not in self._asked_again
        self._asked_again.add(deployment.id)
        return is_first

    def is_too_small(self, deployment: Deployment) -> bool:
        """Whether the prompt was too long for a context window at least as large as the deployment's."""
        return deployment.model.context_window <= self._too_small_window

    def skip(self, deployment: Deployment, reason: str) -> None:
        """Note why a deployment is not tried."""
        self._reasons.setdefault(deployment.id, reason)

    def cannot_count(self, deployment: Deployment, error: LedgerUnavailableError) -> None:
        """Note a deployment whose quota cannot be counted."""
        self._reasons[deployment.id] = "its quota cannot be counted"
        self._uncounted = error

    def deny(self, deployment: Deployment, denial: Denial) -> None:
        """Note a deployment that is out of quota, or left alone."""
        if denial.limit in _REASONS:
            self.skip(deployment, _REASONS[denial.limit])
            return
        self._reasons.setdefault(deployment.id, f"out of {denial.limit}")
        self._denials[deployment.id] = denial

    def fail(self, deployment: Deployment, error: ProviderError) -> None:
        """Note a provider's failure. Raises InvalidRequestError if the fault is the request's own."""
        if isinstance(error, ProviderModelError):
            # Its owner's plan does not have the model, or the provider has it no longer: others may.
            self._reasons[deployment.id] = _NOT_SERVED
            return
        if isinstance(error, ProviderUnsuitedError):
            self._reasons[deployment.id] = _UNSUITED
            self._rejection = self._rejection or rejection(error, deployment.provider.name)
            if isinstance(error, ProviderContextError):
                self._too_small_window = max(self._too_small_window, deployment.model.context_window)
            return
        if isinstance(error, ProviderRejectedError):
            raise rejection(error, deployment.provider.name) from error
        self._reasons[deployment.id] = type(error).__name__.removeprefix("Provider").removesuffix("Error")
        if isinstance(error, ProviderRateLimitedError):
            self._denials[deployment.id] = Denial("blocked_by_provider", block_ms(error))
        elif not isinstance(error, ProviderAuthenticationError):
            self.may_recover = True
            if error.retry_after_s is not None:
                self._waits_s[deployment.id] = min(error.retry_after_s, LONGEST_BLOCK_S)

    def verdict(self) -> SluiceError:
        """The error that says why nobody answered."""
        if self._denials and self._denials.keys() == self._reasons.keys():
            return _out_of_quota(list(self._denials.values()))
        if self._reasons and set(self._reasons.values()) == {_NOT_SERVED}:
            names = ", ".join(self._reasons)
            return NotFoundError(
                f"No provider serves the model to its credential: {names}.", param="model", code="model_not_found"
            )
        if self._rejection is not None and set(self._reasons.values()) <= {_UNSUITED, _NOT_SERVED}:
            return self._rejection
        if self._uncounted is not None and not self.attempts:
            return self._uncounted
        tried = [f"{name} ({reason})" for name, reason in self._reasons.items()]
        if _TIMEOUT in self._reasons.values() and self.deadline.remaining_s < _SHORTEST_CALL_S:
            return DeadlineExceededError(f"No provider answered in time. Tried: {', '.join(tried)}.")
        return NoProviderError(
            f"No provider could answer. Tried: {', '.join(tried) or 'none is configured'}.",
            tried=tried,
            retry_after_s=_shortest_wait_s(self._denials.values(), self._waits_s.values()),
            may_pass=not set(self._reasons.values()) <= _LASTING,
        )


class AttemptState(Enum):
    """How an attempt ended."""

    OPEN = auto()
    LATE = auto()
    FAILED = auto()
    ANSWERED = auto()


class _LateError(Exception):
    """So much time has passed since the reservation that the provider might count the request later than it."""


class Attempt:
    """An attempt at one deployment, on a reservation of its own.

    Enter it, `begin_call`, call the `provider`, and say what it has `answered`.
    What fails inside its block closes the reservation. A provider's failure is noted in the search and goes no
    further, so that the next attempt can follow; all else is raised.
    """

    def __init__(self, router: "Router", search: Search, deployment: Deployment, provider: Provider) -> None:
        """Reserve what the request may cost. Raises QuotaDeniedError, LedgerUnavailableError."""
        self.deployment = deployment
        self.provider = provider
        self.may_have_cost = False
        self.is_repeated = False
        self.state = AttemptState.OPEN
        self._router = router
        self._search = search
        self._tokens = router.quota.estimate(deployment, search.size)
        self._reservation: Reservation = router.quota.reserve(deployment, search.size, self._tokens)
        self._started_s = time.monotonic()

    def __enter__(self) -> Self:
        """Begin: the time until the answer is counted from now."""
        self._started_s = time.monotonic()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        self.state = AttemptState.FAILED
        quota, deployment = self._router.quota, self.deployment
        if isinstance(error, ProviderError):
            self.may_have_cost = error.may_be_billed
            self._search.was_asked = self._search.was_asked or error.was_sent
            quota.settle_failure(self._reservation, error)
            self._router.report(deployment, error, self._search)
            self.is_repeated = error.ask_again and self._search.may_ask_again(deployment)
            if not self.is_repeated:
                self._search.fail(deployment, error)
            return True
        if isinstance(error, _LateError):
            self.state = AttemptState.LATE
            quota.give_back(self._reservation)
            return True
        if isinstance(error, SluiceError):
            quota.give_back(self._reservation)
        else:
            # Whatever this is, the provider may have counted the request.
            quota.keep(self._reservation)
        return False

    def begin_call(self) -> None:
        """Count the call of the provider that follows, if the reservation is fresh; else the attempt ends here."""
        if self._router.quota.is_late(self._reservation):
            raise _LateError
        self._search.attempts += 1

    def answered[Reply](self, reply: Reply) -> Answered[Reply]:
        """The deployment's answer, with the reservation that is still to be settled."""
        self.state = AttemptState.ANSWERED
        self._search.was_asked = True
        self._router.quota.report_success(self._reservation)
        return Answered(
            deployment=self.deployment,
            reservation=self._reservation,
            size=self._search.size,
            estimate=self._tokens,
            answer=reply,
            attempts=self._search.attempts,
            response_time_ms=(time.monotonic() - self._started_s) * 1000,
        )


class Router:
    """Routes requests to deployments. Safe to share between threads."""

    def __init__(self, quota: DeploymentQuota, weights: Weights, limits: RetryLimits) -> None:
        self.quota = quota
        self._weights = weights
        self._limits = limits

    def attempts(self, search: Search) -> Iterator[Attempt]:
        """Yield attempts at reserved deployments, best first, until one has answered.

        When all failed and time is left, waits and tries them again, as often as the limits let, and each as often as
        its retry budget does. In the end the search's verdict says why nobody answered.
        """
        self.quota.prefetch([deployment for group in search.groups for deployment in group])
        for retry in range(self._limits.retries + 1):
            search.begin_round()
            for group in search.groups:
                for deployment in self._ranked(group):
                    if retry == 0 or self._may_retry(deployment):
                        yield from self._attempts_at(deployment, search)
            pause_s = max(_jitter.uniform(0, 2**retry), search.asked_wait_s)
            is_last = retry == self._limits.retries or self._has_tried_enough(search)
            if is_last or not search.may_recover or search.deadline.remaining_s < pause_s + _SHORTEST_CALL_S:
                return
            time.sleep(pause_s)

    def report(self, deployment: Deployment, error: ProviderError, search: Search) -> None:
        """Log a provider's failure, and leave alone for a while what it refused.

        What a request asks for beside its messages may be what it is refused for (tools that a model can't use, more
        tokens than there is credit for): then one tenant's refusal is not yet the others'.
        """
        logger.warning(
            "provider call failed",
            extra={"deployment": deployment.id, "error": type(error).__name__, "provider_status": error.status},
        )
        may_be_the_requests = error.status == _PAYMENT_REQUIRED or isinstance(error, ProviderModelError)
        suspect = search.tenant if may_be_the_requests and not search.request.is_plain else None
        if isinstance(error, ProviderAuthenticationError):
            self.quota.refuse(deployment, BlockReason.CREDENTIAL_REFUSED, suspect)
            emit_metric("CredentialRefused", credential=deployment.alias)
        elif isinstance(error, ProviderModelError):
            self.quota.refuse(deployment, BlockReason.MODEL_NOT_SERVED, suspect)

    def _may_retry(self, deployment: Deployment) -> bool:
        """Whether one more call is within the deployment's retry budget.

        Of its recent requests a fifth at most are to be retries, so that an outage is not multiplied. What part of them
        fails is known of all processes together: of that part, so many are let that it comes to a fifth of all.
        """
        failing = 1 - self.quota.health(deployment).success_rate
        return failing <= RETRY_SHARE or _jitter.random() < RETRY_SHARE / failing

    def _attempts_at(self, deployment: Deployment, search: Search) -> Iterator[Attempt]:
        """One attempt, and others on new reservations if it is late, or if its provider may answer when asked again."""
        if reason := self._reason_to_skip(deployment, search):
            search.skip(deployment, reason)
            return
        provider = search.registry.provider(deployment)
        # What takes time and needs no reservation comes before it.
        if search.embeds:
            provider.warm_up_to_embed()
        else:
            provider.warm_up()
        try:
            for _ in range(_MAX_LATE_RESERVATIONS):
                attempt = Attempt(self, search, deployment, provider)
                yield attempt
                if attempt.state is not AttemptState.LATE and not attempt.is_repeated:
                    return
                if self._has_tried_enough(search):
                    search.skip(deployment, _TRIED_ENOUGH)
                    return
        except QuotaDeniedError as refused:
            search.deny(deployment, refused.denial)
        except LedgerUnavailableError as error:
            search.cannot_count(deployment, error)
        else:
            slow = LedgerUnavailableError("the quota table is too slow for its answers to be used")
            search.cannot_count(deployment, slow)

    def _has_tried_enough(self, search: Search) -> bool:
        return 0 < self._limits.attempts <= search.attempts

    def _reason_to_skip(self, deployment: Deployment, search: Search) -> str | None:
        if search.deadline.remaining_s < _SHORTEST_CALL_S:
            return "no time left"
        if self._has_tried_enough(search):
            return _TRIED_ENOUGH
        return _UNSUITED if search.is_too_small(deployment) else None

    def _ranked(self, group: Sequence[Deployment]) -> list[Deployment]:
        """The deployments of a group, best first."""
        scores = {each.id: self._score(each) for each in group}
        best = max(scores.values(), default=0.0)

        def key(deployment: Deployment) -> tuple[float, float, float, int]:
            price = deployment.model.price
            return rank(scores[deployment.id], best, price.prompt_usd + price.completion_usd, deployment.priority)

        return sorted(group, key=key)

    def _score(self, deployment: Deployment) -> float:
        health = self.quota.health(deployment)
        free = self.quota.free_share(deployment)
        return score(self._weights, health.score, free, health.response_time_ms)


def _shortest_wait_s(denials: Iterable[Denial], asked_s: Iterable[float] = ()) -> int | None:
    waits_s = [denial.retry_after_ms / 1000 for denial in denials if denial.retry_after_ms is not None]
    waits_s += asked_s
    return math.ceil(min(waits_s)) if waits_s else None


def _out_of_quota(denials: Sequence[Denial]) -> SluiceError:
    wait_s = _shortest_wait_s(denials)
    if wait_s is not None:
        message = f"All providers are out of quota. Try again in {in_words(wait_s)}."
        return QuotaExceededError(message, retry_after_s=wait_s)
    names = ", ".join(sorted({denial.limit for denial in denials}))
    return InvalidRequestError(
        f"The request needs more than any deployment's limit of {names}: shorten it or lower max_tokens.",
        param="max_tokens",
        code="request_exceeds_limit",
    )
