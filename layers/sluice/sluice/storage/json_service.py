"""Calls an AWS service that speaks JSON over HTTP: signed, within its time, and again where that may help.

Source: "AWS JSON 1.0 protocol" in Smithy's documentation, https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

import itertools
import json
import random
import time
import zlib
from typing import Any

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.storage import time_limit
from sluice.storage.aws_credentials import source_of
from sluice.storage.connections import ConnectionPool, Endpoint, ExchangeError, Timeouts
from sluice.storage.errors import ServiceError
from sluice.storage.http_answer import HttpAnswer
from sluice.storage.server_clock import ServerClock
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials, Signer

_OK = 200
_SERVER_ERROR = 500
# Those that botocore tries again (botocore/retries/standard.py).
_THROTTLES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_EXPIRED_CREDENTIALS = frozenset({"ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException"})
_READS = ("BatchGet", "Describe", "Get", "List", "Query", "Scan", "Search", "TransactGet")
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

# The state of the `random` module is in a snapshot: all copies of it would come back at the same moment.
_random = random.SystemRandom()
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """What tells services apart: the name for people, for hosts and signatures, of the API, and its JSON version."""

    title: str
    name: str
    target: str
    json_version: str


class JsonService:
    """A client of one AWS service, which threads share. It connects with the first call; `clock` learns its time."""

    def __init__(self, model: ServiceModel, config: ServiceConfig, timeouts: Timeouts) -> None:
        self.clock = ServerClock()
        self._model = model
        self._config = config
        self._timeouts = timeouts
        self._credentials = source_of(config.credentials)
        self._signer = Signer(region=config.region, service=model.name)
        self._pools: dict[str, ConnectionPool] = {}

    def prepare(self) -> None:
        """Make what calls need, and connect to nobody, so that a snapshot may hold it."""
        self._pool(self._model.name).prepare()

    def call(
        self, operation: str, request: JsonObject, *, attempts: int = 3, timeout_s: float | None = None
    ) -> JsonObject:
        """What the service answers to `request`, for any operation of its API, within `timeout_s` if that is given.

        A request's time limit (`time_limit.within`) holds as well.

        Ask for `attempts=1` where doing something twice would count it twice: the request is then sent once, and once
        more only if nobody can have acted on it. Raises ServiceError, a StorageUnavailableError.
        """
        until_s = time_limit.until_s()
        if timeout_s is not None:
            until_s = min(until_s, time.monotonic() + timeout_s)
        body = _encode(request).encode("ascii")
        may_repeat = attempts > 1 or self._is_repeatable(operation)
        has_new_credentials = False
        for attempt in itertools.count(1):
            credentials = self._credentials.get(until_s)
            try:
                answer = self._exchange(operation, body, credentials, until_s, may_repeat=may_repeat)
                return self._read(operation, answer)
            except ServiceError as error:
                if error.aws_code in _EXPIRED_CREDENTIALS and not has_new_credentials:
                    has_new_credentials = self._credentials.reject(credentials)
                    if has_new_credentials:
                        continue
                pause_s = _random.uniform(0, longest_pause_s(attempt))
                if not error.is_transient or attempt >= attempts or time.monotonic() + pause_s >= until_s:
                    raise
            time.sleep(pause_s)
        raise AssertionError("the loop above has no end")

    def _exchange(
        self, operation: str, body: bytes, credentials: Credentials, until_s: float, *, may_repeat: bool
    ) -> HttpAnswer:
        pool = self._pool(self._host(operation))
        sent = self._signed(operation, body, credentials, pool.endpoint.authority)
        try:
            try:
                timed = pool.exchange(sent, until_s)
            except ExchangeError as error:
                # The server had closed the connection: that says nothing of the request.
                if not error.is_stale or not (may_repeat or error.is_unsent):
                    raise
                timed = pool.exchange(sent, until_s, anew=True)
        except ExchangeError as error:
            raise ServiceError(self._failure(operation, error.reason), is_transient=True) from error
        self.clock.observe(timed.answer.headers.get("date", ""), timed.sent_s, timed.received_s)
        return timed.answer

    def _signed(self, operation: str, body: bytes, credentials: Credentials, authority: str) -> bytes:
        """The request as it is sent."""
        headers = {
            "content-type": f"application/x-amz-json-{self._model.json_version}",
            "host": authority,
            "x-amz-target": f"{self._model.target}.{operation}",
        }
        signed = self._signer.sign(headers, body, credentials, time.time())
        lines = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        head = (
            f"POST / HTTP/1.1\r\n{lines}accept-encoding: identity\r\nuser-agent: sluice\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def _read(self, operation: str, answer: HttpAnswer) -> JsonObject:
        checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and checksum != str(zlib.crc32(answer.body)):
            raise ServiceError(self._failure(operation, "wrong checksum"), is_transient=True)
        try:
            content = json.loads(answer.body.decode()) if answer.body else None
        except (ValueError, RecursionError):
            content = None
        if answer.status == _OK:
            if not isinstance(content, dict):
                raise ServiceError(self._failure(operation, "unreadable answer"), is_transient=True)
            return content
        fields = content if isinstance(content, dict) else {}
        # "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
        code = str(fields.get("__type", "")).rpartition("#")[2].partition(":")[0] or str(answer.status)
        raise self._refusal(operation, code, fields, is_transient=answer.status >= _SERVER_ERROR or code in _THROTTLES)

    def _refusal(self, operation: str, code: str, fields: dict[str, Any], *, is_transient: bool) -> Exception:
        """The error that an answer other than 200 is; a service may have some of its own."""
        return ServiceError(self._failure(operation, code), aws_code=code, is_transient=is_transient)

    def _failure(self, operation: str, reason: str) -> str:
        # Not the service's own message, which may quote what was sent.
        return f"{self._model.title} failed at {operation}: {reason}"

    def _host(self, operation: str) -> str:
        """What the host of an operation is called in AWS's domain."""
        return self._model.name

    def _is_repeatable(self, operation: str) -> bool:
        """Whether doing an operation twice is the same as doing it once."""
        return operation.startswith(_READS)

    def _pool(self, host: str) -> ConnectionPool:
        pool = self._pools.get(host)
        if pool is None:
            try:
                endpoint = Endpoint.from_url(self._config.url(host))
            except ValueError as error:
                raise StorageUnavailableError(f"{self._model.title} can't be reached: {error}") from None
            # Two threads may make one at once: all but the first are never used.
            pool = self._pools.setdefault(host, ConnectionPool(endpoint, self._timeouts, self._config.ca_bundle))
        return pool


def longest_pause_s(attempt: int) -> float:
    """How long to wait at most after an attempt, the first being 1.

    How long is drawn from 0 on: "full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (attempt - 1))
