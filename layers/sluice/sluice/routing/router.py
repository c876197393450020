"""Finds a deployment that can take a request, and goes down the list when one fails."""

import math
import random
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from aws_lambda_powertools import Logger

from sluice.chat import ChatRequest
from sluice.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    LedgerUnavailableError,
    NoProviderError,
    NotFoundError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    QuotaExceededError,
    SluiceError,
)
from sluice.providers.base import ProviderConfig
from sluice.providers.registry import Deployment
from sluice.quota.estimate import TokenEstimate
from sluice.quota.item import Reservation
from sluice.quota.ledger import QuotaDeniedError
from sluice.quota.limits import Denial
from sluice.routing.breaker import Breaker, CircuitOpenError
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import DeploymentQuota, Routed, block_ms
from sluice.routing.scoring import Weights, score
from sluice.telemetry import emit_metric

logger = Logger(child=True)

_MAX_RETRIES = 3
# Less than this is not worth beginning a call with.
_SHORTEST_CALL_S = 0.25
# How long a process leaves a credential alone that its provider refused, or for a model that it does not serve.
_REFUSED_S = 600.0
_FORBIDDEN = 403
_NOT_FOUND = 404
# A reservation is late when its second has passed before the request is sent, one in a hundred or so.
_MAX_LATE_RESERVATIONS = 5

_NOT_SERVED = "model not served"
_TIMEOUT = "Timeout"

# From the operating system: functions restored from one snapshot would all draw the same numbers from a seeded one.
_jitter = random.SystemRandom()

type Groups = Sequence[Sequence[Deployment]]
"""Deployments in order of preference: all of a group are tried, best first, before any of the next."""


class Errand[T](Protocol):
    """What is to be done with a deployment once one is found."""

    def prepare(self, deployment: Deployment) -> None:
        """Do all that takes time and needs no reservation."""

    def afford(self) -> None:
        """Wait for whatever else must be reserved. Raises SluiceError, and the deployment's reservation goes back."""

    def call(self, deployment: Deployment) -> T:
        """Ask the provider. Raises ProviderError."""


class _LateError(Exception):
    """So much time has passed since the reservation that the provider might count the request later than it."""


class Router:
    """Routes requests to deployments. Safe to share between threads."""

    def __init__(self, accounts: DeploymentQuota, breaker: Breaker, weights: Weights) -> None:
        self._accounts = accounts
        self._breaker = breaker
        self._weights = weights
        self._refused_until_s: dict[ProviderConfig | tuple[ProviderConfig, str], float] = {}

    def route[T](self, request: ChatRequest, groups: Groups, deadline: Deadline, errand: Errand[T]) -> Routed[T]:
        """Reserve at the best deployment and do the `errand` there; on failure, at the next.

        When all failed and time is left, waits and tries them again, three times at most. Raises QuotaExceededError
        when all are out of quota, NoProviderError naming what was tried, InvalidRequestError when a provider finds
        the request malformed, DeadlineExceededError, LedgerUnavailableError, and what `errand.afford` raises.
        """
        trip = _Trip(deadline)
        for retry in range(_MAX_RETRIES + 1):
            trip.begin_round()
            for group in groups:
                for deployment in sorted(group, key=lambda each: (-self._score(each), each.priority)):
                    routed = self._try(request, deployment, trip, errand)
                    if routed is not None:
                        return routed
            pause_s = _jitter.uniform(0, 2**retry)
            if not trip.may_recover or deadline.remaining_s < pause_s + _SHORTEST_CALL_S:
                break
            time.sleep(pause_s)
        raise trip.verdict()

    def _try[T](
        self, request: ChatRequest, deployment: Deployment, trip: "_Trip", errand: Errand[T]
    ) -> Routed[T] | None:
        if self._is_refused(deployment.config):
            trip.skip(deployment, "credential refused")
            return None
        if self._is_refused((deployment.config, deployment.model.id)):
            trip.skip(deployment, _NOT_SERVED)
            return None
        if self._breaker.is_open(deployment.id):
            trip.skip(deployment, "circuit open")
            return None
        if trip.deadline.remaining_s < _SHORTEST_CALL_S:
            trip.skip(deployment, "no time left")
            return None
        errand.prepare(deployment)
        tokens = self._accounts.estimate(deployment, request)
        try:
            for _ in range(_MAX_LATE_RESERVATIONS):
                reservation = self._accounts.reserve(deployment, request, tokens)
                try:
                    return self._call(deployment, reservation, tokens, errand, trip)
                except _LateError:
                    self._accounts.give_back(reservation)
        except QuotaDeniedError as refused:
            trip.deny(deployment, refused.denial)
            return None
        except CircuitOpenError:
            trip.skip(deployment, "circuit open")
            return None
        except LedgerUnavailableError as error:
            trip.cannot_count(deployment, error)
            return None
        except ProviderError as error:
            self._report(deployment, error)
            trip.fail(deployment, error)
            return None
        trip.cannot_count(deployment, LedgerUnavailableError("the quota table is too slow for its answers to be used"))
        return None

    def _call[T](
        self,
        deployment: Deployment,
        reservation: Reservation,
        tokens: TokenEstimate,
        errand: Errand[T],
        trip: "_Trip",
    ) -> Routed[T]:
        """Do the errand on a reservation, which is closed if it fails; _LateError, and it is the caller's to close."""

        def call_while_fresh() -> T:
            if self._accounts.is_late(reservation):
                raise _LateError
            trip.attempts += 1
            return errand.call(deployment)

        started_s = time.monotonic()
        try:
            errand.afford()
            answer = self._breaker.call(deployment.id, call_while_fresh)
        except _LateError:
            raise
        except ProviderError as error:
            self._accounts.settle_failure(deployment, reservation, error)
            raise
        except (CircuitOpenError, SluiceError):
            self._accounts.give_back(reservation)
            raise
        except BaseException:
            # Whatever this is, the provider may have counted the request; only the mark of the reservation goes.
            self._accounts.keep(reservation)
            raise
        response_time_ms = (time.monotonic() - started_s) * 1000
        return Routed(deployment, reservation, tokens, answer, trip.attempts, response_time_ms)

    def _report(self, deployment: Deployment, error: ProviderError) -> None:
        logger.warning(
            "provider call failed",
            extra={"deployment": deployment.id, "error": type(error).__name__, "provider_status": error.status},
        )
        if isinstance(error, ProviderAuthenticationError):
            self._refused_until_s[deployment.config] = time.monotonic() + _REFUSED_S
            emit_metric("CredentialRefused", credential=deployment.alias)
        elif error.status == _NOT_FOUND:
            self._refused_until_s[deployment.config, deployment.model.id] = time.monotonic() + _REFUSED_S

    def _is_refused(self, what: ProviderConfig | tuple[ProviderConfig, str]) -> bool:
        return self._refused_until_s.get(what, 0.0) > time.monotonic()

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
        self._uncounted: LedgerUnavailableError | None = None

    def begin_round(self) -> None:
        self.may_recover = False
        self._denials = {}

    def skip(self, deployment: Deployment, reason: str) -> None:
        self._reasons.setdefault(deployment.id, reason)

    def cannot_count(self, deployment: Deployment, error: LedgerUnavailableError) -> None:
        self._reasons[deployment.id] = "its quota cannot be counted"
        self._uncounted = error

    def deny(self, deployment: Deployment, denial: Denial) -> None:
        self._reasons.setdefault(deployment.id, f"out of {denial.limit}")
        self._denials[deployment.id] = denial

    def fail(self, deployment: Deployment, error: ProviderError) -> None:
        if isinstance(error, ProviderRejectedError) and error.status in {_FORBIDDEN, _NOT_FOUND}:
            # Its owner's plan does not have the model, or the provider has it no longer: others may.
            self._reasons[deployment.id] = _NOT_SERVED
            return
        if isinstance(error, ProviderRejectedError):
            raise InvalidRequestError(f"{deployment.provider.name} rejected the request: {error.message}") from error
        self._reasons[deployment.id] = type(error).__name__.removeprefix("Provider").removesuffix("Error")
        if isinstance(error, ProviderRateLimitedError):
            self._denials[deployment.id] = Denial("blocked_by_provider", block_ms(error))
        elif not isinstance(error, ProviderAuthenticationError):
            self.may_recover = True

    def verdict(self) -> SluiceError:
        """Why nobody answered."""
        if self._denials and self._denials.keys() == self._reasons.keys():
            return _out_of_quota(list(self._denials.values()))
        if self._reasons and set(self._reasons.values()) == {_NOT_SERVED}:
            names = ", ".join(self._reasons)
            return NotFoundError(
                f"No provider serves the model to its credential: {names}.", param="model", code="model_not_found"
            )
        if self._uncounted is not None and not self.attempts:
            return self._uncounted
        tried = [f"{name} ({reason})" for name, reason in self._reasons.items()]
        if _TIMEOUT in self._reasons.values() and self.deadline.remaining_s < _SHORTEST_CALL_S:
            return DeadlineExceededError(f"No provider answered in time. Tried: {', '.join(tried)}.")
        return NoProviderError(
            f"No provider could answer. Tried: {', '.join(tried) or 'none is configured'}.",
            tried=tried,
            retry_after_s=_shortest_wait_s(self._denials.values()),
        )


def _shortest_wait_s(denials: Iterable[Denial]) -> int | None:
    waits_ms = [denial.retry_after_ms for denial in denials if denial.retry_after_ms is not None]
    return math.ceil(min(waits_ms) / 1000) if waits_ms else None


def _out_of_quota(denials: Sequence[Denial]) -> SluiceError:
    wait_s = _shortest_wait_s(denials)
    if wait_s is not None:
        return QuotaExceededError(f"All providers are out of quota. Try again in {wait_s} s.", retry_after_s=wait_s)
    names = ", ".join(sorted({denial.limit for denial in denials}))
    return InvalidRequestError(
        f"The request needs more than any deployment's limit of {names}: shorten it or lower max_tokens.",
        param="max_tokens",
        code="request_exceeds_limit",
    )
