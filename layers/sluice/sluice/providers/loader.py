"""Loads the registry from the credentials secret, and goes on with the last good one while the secret is broken."""

import time
from collections.abc import Callable, Sequence
from threading import Lock

from aws_lambda_powertools import Logger

from sluice.catalog.catalog import Catalog, catalog
from sluice.errors import StorageUnavailableError
from sluice.providers.credentials import BrokenCredential, Credential, CredentialsError, parse_credentials
from sluice.providers.registry import Registry
from sluice.telemetry.metrics import emit_metric

logger = Logger(child=True)

MAX_AGE_S = 60.0
# How long to wait after a reading that failed, so that an outage does not cost every request a time-out.
_RETRY_AFTER_S = 5.0


class RegistryLoader:
    """Holds the registry, and reads the secret anew when it is `max_age_s` old. Threads may share it.

    While the secret can't be read, or nothing in it can be used, the last good one serves: the one in memory, or, in a
    process that has none yet, the version that the secret had before. An entry that is broken leaves the others be.
    What is survived is logged and counted, and operators are told by `problem` and the registry's `broken`.
    """

    def __init__(
        self,
        read: Callable[[], str],
        read_previous: Callable[[], str],
        *,
        known: Catalog | None = None,
        own: Sequence[Credential] = (),
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` and `read_previous` return the text of the secret as it is, and as it was before it was changed last.

        Both raise StorageUnavailableError. `own` are credentials that the stack has beside those of the secret.
        """
        self._read = read
        self._read_previous = read_previous
        self._known = known
        self._own = own
        self._max_age_s = max_age_s
        self._clock = clock
        self._refreshing = Lock()
        self._registry: Registry | None = None
        self._text = ""
        self._due_s = 0.0
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the secret as it is now is not what serves; None if it is. It never holds a key."""
        return self._problem

    def get(self) -> Registry:
        """The registry. Raises StorageUnavailableError or CredentialsError only if there has never been a good one."""
        registry = self._registry
        if registry is None:
            with self._refreshing:
                return self._registry or self._load_first()
        # Whoever finds it due refreshes it; the others are not kept waiting.
        if self._clock() >= self._due_s and self._refreshing.acquire(blocking=False):
            try:
                return self._refresh() if self._clock() >= self._due_s else self._registry or registry
            except (StorageUnavailableError, CredentialsError) as error:
                self._serve_on(error)
                return registry
            finally:
                self._refreshing.release()
        return registry

    def _load_first(self) -> Registry:
        try:
            return self._refresh()
        except CredentialsError as error:
            try:
                registry = self._take(self._read_previous())
            except (StorageUnavailableError, CredentialsError) as earlier:
                logger.warning("no earlier credentials either", extra={"reason": earlier.message})
                raise error from None
            self._serve_on(error)
            return registry

    def _refresh(self) -> Registry:
        asked_s = self._clock()
        text = self._read()
        registry = self._registry
        if registry is None or text != self._text:
            registry = self._take(text)
        if registry.broken:
            emit_metric("CredentialBroken")
        self._problem = None
        self._due_s = asked_s + self._max_age_s
        return registry

    def _take(self, text: str) -> Registry:
        registry = Registry.build(self._known or catalog(), parse_credentials(text), self._own)
        for broken in registry.broken:
            _log(broken)
        if self._registry is not None:
            registry.take_over(self._registry)
        self._registry, self._text = registry, text
        return registry

    def _serve_on(self, error: StorageUnavailableError | CredentialsError) -> None:
        self._problem = error.message
        self._due_s = self._clock() + min(_RETRY_AFTER_S, self._max_age_s)
        logger.warning("credentials not refreshed", extra={"reason": error.message})
        emit_metric("CredentialsNotRefreshed")


def _log(broken: BrokenCredential) -> None:
    logger.warning("a credential can't be used", extra={"credential": broken.alias, "reason": broken.reason})
