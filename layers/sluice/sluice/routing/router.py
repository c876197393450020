"""Finds a deployment that can take a request, and goes down the list when one fails."""

import math
import random
import time
from collections.abc import Callable, Sequence

from aws_lambda_powertools import Logger

from sluice.chat import ChatRequest
from sluice.deadline import Deadline
from sluice.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    NoProviderError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    QuotaExceededError,
    SluiceError,
)
from sluice.providers.registry import Deployment
from sluice.quota.ledger import QuotaDeniedError
from sluice.quota.limits import Denial
from sluice.routing.accounts import Accounts, Routed
from sluice.routing.breaker import Breaker, CircuitOpenError
from sluice.routing.scoring import Weights, score
from sluice.telemetry import count

logger = Logger(child=True)

_MAX_RETRIES = 3
# Less than this is not worth beginning a call with.
_SHORTEST_CALL_S = 0.25
# How long a process leaves a credential alone that its provider refused.
_REFUSED_CREDENTIAL_S = 600.0

type Groups = Sequence[Sequence[Deployment]]
"""Deployments in order of preference: all of a group are tried, best first, before any of the next."""


class Router:
    """Routes requests to deployments. Safe to share between threads."""

    def __init__(self, accounts: Accounts, breaker: Breaker, weights: Weights) -> None:
        self._accounts = accounts
        self._breaker = breaker
        self._weights = weights
        self._refused_until_s: dict[str, float] = {}

    def route[T](
        self, request: ChatRequest, groups: Groups, deadline: Deadline, call: Callable[[Deployment, float], T]
    ) -> Routed[T]:
        """Reserve at the best deployment and `call` it, with the seconds it may take; on failure, the next.

        When all failed and time is left, waits and tries them again, three times at most. Raises QuotaExceededError
        when all are out of quota, NoProviderError naming what was tried, InvalidRequestError when a provider finds
        the request malformed, DeadlineExceededError, LedgerUnavailableError. `call` may raise SluiceError before it
        asks the provider; what was reserved is then given back.
        """
        trip = _Trip(deadline)
        for retry in range(_MAX_RETRIES + 1):
            trip.begin_round()
            for group in groups:
                for deployment in sorted(group, key=lambda each: (-self._score(each), each.priority)):
                    routed = self._try(request, deployment, trip, call)
                    if routed is not None:
                        return routed
            pause_s = random.uniform(0, 2**retry)  # noqa: S311 -- jitter, not a secret
            if not trip.may_recover or deadline.remaining_s < pause_s + _SHORTEST_CALL_S:
                break
            time.sleep(pause_s)
        raise trip.verdict()

    def _try[T](
        self, request: ChatRequest, deployment: Deployment, trip: "_Trip", call: Callable[[Deployment, float], T]
    ) -> Routed[T] | None:
        if self._refused_until_s.get(deployment.alias, 0.0) > time.monotonic():
            trip.skip(deployment, "credential refused")
            return None
        if self._breaker.is_open(deployment.id):
            trip.skip(deployment, "circuit open")
            return None
        if trip.deadline.remaining_s < _SHORTEST_CALL_S:
            trip.skip(deployment, "no time left")
            return None
        tokens = self._accounts.estimate(deployment, request)
        try:
            reservation = self._accounts.reserve(deployment, request, tokens)
        except QuotaDeniedError as refused:
            trip.deny(deployment, refused.denial)
            return None
        trip.attempts += 1
        started_s = time.monotonic()
        timeout_s = min(deployment.provider.timeout_s, trip.deadline.remaining_s)
        try:
            answer = self._breaker.call(deployment.id, lambda: call(deployment, timeout_s))
        except CircuitOpenError:
            self._accounts.give_back(reservation)
            trip.skip(deployment, "circuit open")
            return None
        except ProviderError as error:
            self._accounts.settle_failure(deployment, reservation, error)
            self._report(deployment, error)
            trip.fail(deployment, error)
            return None
        except SluiceError:  # raised by `call` before it asked the provider
            self._accounts.give_back(reservation)
            raise
        except BaseException:
            # Whatever this is, the provider may have counted the request; only the mark of the reservation goes.
            self._accounts.keep(reservation)
            raise
        return Routed(deployment, reservation, tokens, answer, trip.attempts, started_s)

    def _report(self, deployment: Deployment, error: ProviderError) -> None:
        logger.warning(
            "provider call failed",
            extra={"deployment": deployment.id, "error": type(error).__name__, "provider_status": error.status},
        )
        if isinstance(error, ProviderAuthenticationError):
            self._refused_until_s[deployment.alias] = time.monotonic() + _REFUSED_CREDENTIAL_S
            count("CredentialRefused", credential=deployment.alias)

    def _score(self, deployment: Deployment) -> float:
        health = self._accounts.health(deployment)
        free = self._accounts.free_share(deployment)
        # Rounded, so that priority decides between deployments that are as good as equal.
        return round(score(self._weights, health.score, free, health.response_time_ms), 2)


class _Trip:
    """What happened on the way through the deployments."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.attempts = 0
        self.may_recover = False
        self._reasons: dict[str, str] = {}
        self._denials: dict[str, Denial] = {}

    def begin_round(self) -> None:
        self.may_recover = False
        self._denials = {}

    def skip(self, deployment: Deployment, reason: str) -> None:
        self._reasons.setdefault(deployment.id, reason)

    def deny(self, deployment: Deployment, denial: Denial) -> None:
        self._reasons.setdefault(deployment.id, f"out of {denial.limit}")
        self._denials[deployment.id] = denial

    def fail(self, deployment: Deployment, error: ProviderError) -> None:
        if isinstance(error, ProviderRejectedError):
            raise InvalidRequestError(f"{deployment.provider.name} rejected the request: {error.message}") from error
        self._reasons[deployment.id] = type(error).__name__.removeprefix("Provider").removesuffix("Error")
        if isinstance(error, ProviderRateLimitedError):
            retry_after_ms = None if error.retry_after_s is None else math.ceil(error.retry_after_s * 1000)
            self._denials[deployment.id] = Denial("blocked_by_provider", retry_after_ms)
        elif not isinstance(error, ProviderAuthenticationError):
            self.may_recover = True

    def verdict(self) -> SluiceError:
        """Why nobody answered."""
        if self._denials and self._denials.keys() == self._reasons.keys():
            return _out_of_quota(list(self._denials.values()))
        tried = [f"{name} ({reason})" for name, reason in self._reasons.items()]
        if self.attempts and self.deadline.remaining_s < _SHORTEST_CALL_S:
            return DeadlineExceededError(f"No provider answered in time. Tried: {', '.join(tried)}.")
        return NoProviderError(
            f"No provider could answer. Tried: {', '.join(tried) or 'none is configured'}.", tried=tried
        )


def _out_of_quota(denials: Sequence[Denial]) -> SluiceError:
    waits_ms = [denial.retry_after_ms for denial in denials if denial.retry_after_ms is not None]
    if waits_ms:
        wait_s = math.ceil(min(waits_ms) / 1000)
        return QuotaExceededError(f"All providers are out of quota. Try again in {wait_s} s.", retry_after_s=wait_s)
    if all(denial.limit == "blocked_by_provider" for denial in denials):
        return QuotaExceededError("All providers refuse for now. Try again later.", retry_after_s=None)
    names = ", ".join(sorted({denial.limit for denial in denials}))
    return InvalidRequestError(
        f"The request needs more than any deployment's limit of {names}: shorten it or lower max_tokens.",
        param="max_tokens",
        code="request_exceeds_limit",
    )
