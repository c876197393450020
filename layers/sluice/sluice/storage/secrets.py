"""Reads secrets from Secrets Manager, and holds them in memory for a while."""

import time
from collections.abc import Callable
from functools import lru_cache
from threading import Lock

from sluice.errors import StorageUnavailableError
from sluice.storage.connections import Timeouts
from sluice.storage.json_service import JsonService, ServiceModel
from sluice.storage.service_config import ServiceConfig

MAX_AGE_S = 60.0
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"

_MODEL = ServiceModel("Secrets Manager", "secretsmanager", "secretsmanager", "1.1")
_TIMEOUTS = Timeouts(connect_s=1.0, silence_s=3.0, answer_s=3.0)
_ATTEMPTS = 2


class SecretsManager(JsonService):
    """A client of Secrets Manager: one per process, which threads share."""

    def __init__(self, config: ServiceConfig, timeouts: Timeouts = _TIMEOUTS) -> None:
        super().__init__(_MODEL, config, timeouts)

    def secret(self, secret_id: str, stage: str = CURRENT) -> str:
        """The text of a secret, by name or ARN, as it is now, or as it was before. Raises StorageUnavailableError."""
        if not secret_id:
            raise StorageUnavailableError("reading a secret failed: this function is not given one")
        asked = {"SecretId": secret_id, "VersionStage": stage}
        text = self.call("GetSecretValue", asked, attempts=_ATTEMPTS).get("SecretString")
        if not isinstance(text, str):
            raise StorageUnavailableError("reading a secret failed: it is binary, and has to be a text")
        return text


def secretsmanager() -> SecretsManager:
    """The client of this process, as the environment says now."""
    return _client(ServiceConfig.from_environment("SECRETS_MANAGER"))


@lru_cache(maxsize=8)
def _client(config: ServiceConfig) -> SecretsManager:
    return SecretsManager(config)


def fetch_secret(secret_id: str, stage: str = CURRENT) -> str:
    """The text of a secret, by name or ARN, as it is now, or as it was before. Raises StorageUnavailableError."""
    return secretsmanager().secret(secret_id, stage)


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
