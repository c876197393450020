"""Reads secrets from Secrets Manager, and holds them in memory for a while."""

import time
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from sluice.errors import StorageUnavailableError
from sluice.storage.client import storage_errors

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE_S = 60.0

_CONNECT_TIMEOUT_S = 1
_READ_TIMEOUT_S = 3


@cache
def secretsmanager() -> "SecretsManagerClient":
    """The client of this process."""
    # Made when the first secret is read: a function that needs none does not pay for the client.
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client("secretsmanager", config=config)


def fetch_secret(secret_id: str) -> str:
    """The text of a secret, by name or ARN, as it is now. Raises StorageUnavailableError."""
    if not secret_id:
        raise StorageUnavailableError("reading a secret failed: this function is not given one")
    with storage_errors("reading a secret"):
        answer = secretsmanager().get_secret_value(SecretId=secret_id)
    if "SecretString" not in answer:
        raise StorageUnavailableError("reading a secret failed: it is binary, and has to be a text")
    return answer["SecretString"]


class SecretReader:
    """Reads secrets, each at most once in `max_age_s`. Threads may share it."""

    def __init__(
        self,
        fetch: Callable[[str], str] = fetch_secret,
        *,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = Lock()
        self._held: dict[str, tuple[str, float]] = {}

    def read(self, secret_id: str) -> str:
        """The text of a secret, at most `max_age_s` old. Raises StorageUnavailableError."""
        # One thread fetches while the others wait for what it gets.
        with self._lock:
            held = self._held.get(secret_id)
            if held is None or self._clock() - held[1] >= self._max_age_s:
                # The clock is read before fetching: a change made meanwhile must not be held longer than promised.
                read_at = self._clock()
                held = (self._fetch(secret_id), read_at)
                self._held[secret_id] = held
            return held[0]


_reader = SecretReader()


def read_secret(secret_id: str) -> str:
    """The text of a secret, by name or ARN, at most 60 s old. Raises StorageUnavailableError."""
    return _reader.read(secret_id)
