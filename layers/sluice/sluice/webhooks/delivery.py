"""Delivery: sends an event to an endpoint, and again later if it is not taken.

At least once: who dies after an endpoint has answered and before the message is deleted leaves one that is delivered
again, with the same id. Waits over a quarter of an hour are messages that come back and are sent on.
"""

import math
import os
import random
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger

from sluice.loading.dataclass import dataclass
from sluice.storage.addresses import Addresses, AddressRefusedError
from sluice.storage.connections import ConnectionPool, Endpoint, ExchangeError, Timeouts
from sluice.storage.queues import LONGEST_DELAY_S, Queue
from sluice.telemetry.best_effort import best_effort
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.directory import Directory
from sluice.webhooks.endpoint import LastDelivery, Outcome, WebhookEndpoint
from sluice.webhooks.messages import Delivery
from sluice.webhooks.signing import signed_headers
from sluice.webhooks.store import EndpointStore

PAUSES_S = (5, 300, 1_800, 7_200, 18_000, 28_800, 28_800)
"""Between attempts: as the specification proposes, but for the end, so that the last is made after about a day."""
_JITTER = 0.2
ATTEMPT_S = 15.0
"""How long one attempt may take, however slowly the endpoint answers."""
_TIMEOUTS = Timeouts(connect_s=5.0, silence_s=10.0, answer_s=ATTEMPT_S)
_GONE = 410

# From the operating system: functions restored from one snapshot would all draw the same numbers from a seeded one.
_random = random.SystemRandom()

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an endpoint answered: a status, or why there was none."""

    status: int | None
    reason: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether it was 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Deliverer:
    """Delivers events. Threads may share it. `clock` gives seconds since 1970."""

    def __init__(
        self,
        endpoints: EndpointStore,
        directory: Directory,
        queue: Queue,
        addresses: Addresses,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self._directory = directory
        self._queue = queue
        self._addresses = addresses
        self._clock = clock

    def deliver(self, message: Delivery) -> None:
        """Do what a message says. Raises StorageUnavailableError, after which it is to be done again."""
        wait_s = message.due_at - self._clock()
        if wait_s > 0:
            self._send_on(message, math.ceil(wait_s))
            return
        endpoint = self._endpoints.find(message.tenant, message.endpoint)
        if endpoint is None or endpoint.disabled_at is not None or self._directory.tenant(message.tenant) is None:
            return  # it was deleted or disabled, or its tenant was, after the message was sent
        attempt = self._attempt(endpoint, message)
        pause_s = None if attempt.is_taken or attempt.status == _GONE else _pause_s(message.attempt)
        if pause_s is not None:
            self._send_on(message.later(math.ceil(self._clock() + pause_s)), math.ceil(pause_s))
        self._note(endpoint, message, attempt, is_last=pause_s is None)

    def _send_on(self, message: Delivery, wait_s: int) -> None:
        delay_s = min(wait_s, LONGEST_DELAY_S)
        self._queue.send(message.model_dump(mode="json"), group=message.tenant, delay_s=delay_s)

    def _attempt(self, endpoint: WebhookEndpoint, message: Delivery) -> Attempt:
        body, now_s = message.event.body(), int(self._clock())
        secrets = self._endpoints.secrets(endpoint, now_s)
        until_s = time.monotonic() + ATTEMPT_S
        try:
            addresses = self._addresses.find(endpoint.url)
        except AddressRefusedError as error:
            return Attempt(None, str(error))
        parts = urlsplit(endpoint.url)
        target = Endpoint.from_url(f"{parts.scheme}://{parts.netloc}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = _request(path, target.authority, signed_headers(message.event_id, now_s, body, secrets), body)
        pool = ConnectionPool(target, _TIMEOUTS, os.environ.get("SSL_CERT_FILE", ""), addresses)
        try:
            # Of the answer's body nothing is read, and a redirect is an answer like others.
            return Attempt(pool.exchange(request, until_s, head_only=True).answer.status)
        except ExchangeError as error:
            return Attempt(None, error.reason)

    def _note(self, endpoint: WebhookEndpoint, message: Delivery, attempt: Attempt, *, is_last: bool) -> None:
        outcome = Outcome.DELIVERED if attempt.is_taken else Outcome.GAVE_UP if is_last else Outcome.RETRYING
        now_s = int(self._clock())
        last = LastDelivery(
            event=message.event_id, at=now_s, outcome=outcome, status=attempt.status, reason=attempt.reason
        )
        if attempt.status == _GONE:
            self._endpoints.note(endpoint, last, disabled_at=now_s)
        else:
            # Done again for the sake of a note, it would be delivered again, or tried twice as often from now on.
            with best_effort("noting a delivery"):
                self._endpoints.note(endpoint, last, disabled_at=None)
        if outcome is Outcome.GAVE_UP:
            # Not the URL, which may hold a secret.
            logger.warning(
                "a webhook was given up",
                extra={
                    "tenant": endpoint.tenant,
                    "endpoint": endpoint.id,
                    "event": message.event_id,
                    "status": attempt.status,
                    "reason": attempt.reason,
                },
            )
            emit_metric("WebhookGivenUp")


def _request(path: str, authority: str, signed: Mapping[str, str], body: bytes) -> bytes:
    headers = {
        "host": authority,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": "Sluice",
        "connection": "close",
        **signed,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _pause_s(attempt: int) -> float | None:
    """How long until the next attempt, differently each time, so that what failed together does not come together."""
    if attempt >= len(PAUSES_S):
        return None
    return PAUSES_S[attempt] * _random.uniform(1 - _JITTER, 1 + _JITTER)
