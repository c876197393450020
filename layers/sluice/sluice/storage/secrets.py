"""Secrets Manager, and the texts of secrets kept in memory for a while."""

import time
from collections.abc import Callable
from threading import Lock

from sluice.errors import StorageUnavailableError
from sluice.storage.connections import Timeouts
from sluice.storage.json_service import JsonService, ServiceModel
from sluice.storage.service_config import ServiceConfig
from sluice.storage.ttl_cache import TtlCache

MAX_AGE_S = 60.0
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"

_MODEL = ServiceModel("Secrets Manager", "secretsmanager", "secretsmanager", "1.1")
_TIMEOUTS = Timeouts(connect_s=1.0, silence_s=3.0, answer_s=3.0)
_ATTEMPTS = 2
_MOST_KEPT = 16


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
    """A client as the environment says now, with connections of its own. A process needs one: see composition.App."""
    return SecretsManager(ServiceConfig.from_environment("SECRETS_MANAGER"))


class SecretReader:
    """Reads the texts of secrets, and keeps them for `max_age_s`. Threads may share it."""

    def __init__(
        self,
        fetch: Callable[[str], str],
        *,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` returns the text of a secret as it is now, by name or ARN. Raises StorageUnavailableError."""
        self._fetch = fetch
        self._texts: TtlCache[str] = TtlCache(lifetime_s=max_age_s, most=_MOST_KEPT, clock=clock)
        self._lock = Lock()

    def read(self, secret_id: str) -> str:
        """The text of a secret, at most `max_age_s` old. Raises StorageUnavailableError."""
        # One thread fetches while the others wait for what it gets.
        with self._lock:
            return self._texts.get_or_fetch(secret_id, lambda: self._fetch(secret_id))
