"""Where the credentials that requests are signed with come from: environment variables, or the container's endpoint.

Lambda sets AWS_ACCESS_KEY_ID and what belongs to it; with SnapStart it names an endpoint that hands out credentials
which expire, since a snapshot may be restored long after it was taken
(https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html#snapstart-credentials).
"""

import ipaddress
import itertools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import TIMEOUT_MAX, Lock
from typing import Any, Protocol
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger

from sluice.errors import StorageUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.storage.connections import ConnectionPool, Endpoint, ExchangeError, Timeouts
from sluice.storage.http_answer import HttpAnswer
from sluice.storage.signing import Credentials

logger = Logger(child=True)

# Those that botocore sends a token to without TLS: loopback, and the link-local addresses of ECS and EKS.
_TRUSTED_HOSTS = frozenset({"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
_REFRESH_BEFORE_S = 15 * 60.0
# Not used any more so shortly before they expire: the request still has to arrive.
_EXPIRE_EARLY_S = 10.0
_REFRESH_PAUSE_S = 10.0
_FETCH_S = 5.0
_FAILURE_KEPT_S = 1.0
_TIMEOUTS = Timeouts(connect_s=1.0, silence_s=2.0, answer_s=2.0)
_ATTEMPTS = 3
_ATTEMPT_PAUSE_S = 0.1
_OK = 200


@dataclass(frozen=True, slots=True)
class ContainerEndpoint:
    """An endpoint that hands out credentials, and what it is to be shown: a token, or a file that holds the token."""

    url: str
    token: str = field(default="", repr=False)
    token_file: str = ""


class CredentialSource(Protocol):
    """Hands out credentials. Threads may share it."""

    def get(self, until_s: float) -> Credentials:
        """Credentials that hold now, before `until_s` on the monotonic clock. Raises StorageUnavailableError."""

    def reject(self, credentials: Credentials) -> bool:
        """Note that a service takes `credentials` for expired. Whether there may be others."""


def credentials_in(environment: Mapping[str, str]) -> Credentials | ContainerEndpoint | None:
    """What the environment says of credentials: an access key comes before an endpoint. None if it says nothing."""
    access_key_id, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if access_key_id and secret:
        return Credentials(access_key_id, secret, environment.get("AWS_SESSION_TOKEN") or None)
    if url := environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", ""):
        return ContainerEndpoint(
            url,
            environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""),
            environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""),
        )
    return None


def source_of(credentials: Credentials | ContainerEndpoint | None) -> CredentialSource:
    """What hands out credentials as they are configured."""
    if isinstance(credentials, ContainerEndpoint):
        return ContainerCredentials(credentials)
    return FixedCredentials(credentials)


class FixedCredentials:
    """Credentials that stay the same."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def get(self, until_s: float) -> Credentials:
        """The credentials. Raises StorageUnavailableError if there are none."""
        if self._credentials is None:
            raise StorageUnavailableError("there are no AWS credentials: the environment names none")
        return self._credentials

    def reject(self, credentials: Credentials) -> bool:
        """There are no others."""
        return False


@dataclass(frozen=True, slots=True)
class _Kept:
    """Credentials, when to ask for others, and when not to use them any more, in seconds since the epoch."""

    credentials: Credentials
    refresh_at_s: float
    expires_at_s: float


_NONE_KEPT = _Kept(Credentials("", ""), -math.inf, -math.inf)


class ContainerCredentials:
    """Credentials from a container's endpoint: fetched when they are needed, and anew some time before they expire.

    Until they expire, those at hand are used where the endpoint does not answer. `clock` is in seconds since the epoch.
    """

    def __init__(self, endpoint: ContainerEndpoint, clock: Callable[[], float] = time.time) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._lock = Lock()
        self._kept = _NONE_KEPT
        self._failed: tuple[float, str] = (-math.inf, "")

    def get(self, until_s: float) -> Credentials:
        """The credentials of now. Raises StorageUnavailableError."""
        kept = self._kept
        now_s = self._clock()
        if now_s < kept.refresh_at_s:
            return kept.credentials
        # While one thread fetches, the others use what they have, or wait for it if that has expired.
        wait_s = 0.0 if now_s < kept.expires_at_s else max(0.0, until_s - time.monotonic())
        if not self._lock.acquire(timeout=min(wait_s, TIMEOUT_MAX)):
            if now_s < kept.expires_at_s:
                return kept.credentials
            raise StorageUnavailableError("fetching AWS credentials failed: no answer in time")
        try:
            if self._kept is kept:
                self._kept = self._renewed(kept, until_s)
            return self._kept.credentials
        finally:
            self._lock.release()

    def reject(self, credentials: Credentials) -> bool:
        """Ask for others the next time, if these are the ones that are kept."""
        if self._kept.credentials == credentials:
            self._kept = _NONE_KEPT
        return True

    def _renewed(self, kept: _Kept, until_s: float) -> _Kept:
        now_s = self._clock()
        failed_until_s, reason = self._failed
        if now_s < failed_until_s:
            # Others waited while that was found out: they need not find it out each for themselves.
            raise StorageUnavailableError(reason)
        try:
            return _fetch(self._endpoint, now_s, min(until_s, time.monotonic() + _FETCH_S))
        except StorageUnavailableError as error:
            if now_s >= kept.expires_at_s:
                self._failed = (now_s + _FAILURE_KEPT_S, error.message)
                raise
            logger.warning("AWS credentials are not renewed yet", extra={"reason": error.message})
            return replace(kept, refresh_at_s=now_s + _REFRESH_PAUSE_S)


def _fetch(endpoint: ContainerEndpoint, now_s: float, until_s: float) -> _Kept:
    try:
        answer = _ask(endpoint, until_s)
        expires_at = datetime.fromisoformat(answer["Expiration"])
        credentials = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"])
    except ExchangeError as error:
        raise StorageUnavailableError(f"fetching AWS credentials failed: {error.reason}") from None
    except (ValueError, KeyError, TypeError) as error:
        # What they say may quote a secret.
        reason = f"the answer can't be read ({type(error).__name__})"
        raise StorageUnavailableError(f"fetching AWS credentials failed: {reason}") from None
    expires_at_s = expires_at.replace(tzinfo=expires_at.tzinfo or UTC).timestamp() - _EXPIRE_EARLY_S
    if expires_at_s <= now_s:
        raise StorageUnavailableError("fetching AWS credentials failed: they have expired")
    refresh_at_s = max(now_s + _REFRESH_PAUSE_S, expires_at_s - _REFRESH_BEFORE_S)
    return _Kept(credentials, min(refresh_at_s, expires_at_s), expires_at_s)


def _ask(endpoint: ContainerEndpoint, until_s: float) -> Any:
    """What the endpoint says, which is tried more than once. Raises ExchangeError, ValueError for what is no JSON."""
    address, request = _request(endpoint)
    pool = ConnectionPool(address, _TIMEOUTS)
    for attempt in itertools.count(1):
        try:
            return _read(pool.exchange(request, until_s, anew=True).answer)
        except ExchangeError:
            if attempt == _ATTEMPTS or time.monotonic() + _ATTEMPT_PAUSE_S >= until_s:
                raise
        time.sleep(_ATTEMPT_PAUSE_S)
    raise AssertionError("the loop above has no end")


def _read(answer: HttpAnswer) -> Any:
    if answer.status != _OK:
        raise ExchangeError(f"status {answer.status}")
    return json.loads(answer.body)


def _request(endpoint: ContainerEndpoint) -> tuple[Endpoint, bytes]:
    parts = urlsplit(endpoint.url)
    try:
        address = Endpoint.from_url(f"{parts.scheme}://{parts.netloc}")
        token = Path(endpoint.token_file).read_text().strip() if endpoint.token_file else endpoint.token
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not address.is_tls and not _is_trusted(address.host):
            raise ExchangeError(f"the host {address.host!r} is neither this machine nor reached by https")
        if not (target.isascii() and target.isprintable() and " " not in target):
            raise ExchangeError("its URL can't be requested")
        if not (token.isascii() and (token.isprintable() or not token)):
            raise ExchangeError("its token is not a legal header")
    except (OSError, ValueError) as error:
        raise ExchangeError(f"it can't be asked ({type(error).__name__})") from None
    lines = [f"GET {target} HTTP/1.1", f"host: {address.authority}", "accept: application/json", "connection: close"]
    if token:
        lines.append(f"authorization: {token}")
    return address, "\r\n".join([*lines, "", ""]).encode("ascii")


def _is_trusted(host: str) -> bool:
    if host in _TRUSTED_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
