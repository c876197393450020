"""The keys that an issuer signs with, kept for a while, and fetched again when they grow old or one is unknown."""

import time
from collections.abc import Callable, Mapping
from threading import Lock

import jwt

from sluice.chat import JsonObject
from sluice.errors import IssuerUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.storage import time_limit
from sluice.telemetry.best_effort import logger
from sluice.telemetry.metrics import emit_metric

ALGORITHMS: Mapping[str, str] = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""What a token may be signed with, and the type of key for it. None of them knows a shared secret."""

FRESH_S = 600.0
"""How long keys are believed before they are fetched again: one that the issuer has withdrawn is taken no longer."""
LAST_GOOD_S = 24 * 3600.0
"""How long they are believed where the issuer can't be asked."""
PAUSE_S = 60.0
"""How long nothing is fetched after the last time, however many unknown keys are named."""
FIRST_PAUSE_S = 5.0
"""The same where no keys are known yet."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of the issuer, for one algorithm."""

    id: str | None
    algorithm: str
    key: jwt.PyJWK


@dataclass(frozen=True, slots=True)
class _Fetched:
    keys: tuple[SigningKey, ...]
    at_s: float


class SigningKeys:
    """Finds an issuer's keys. Threads may share it: one fetches, and those that need what it gets wait for it."""

    def __init__(self, fetch: Callable[[], JsonObject], clock: Callable[[], float] = time.monotonic) -> None:
        """`fetch` returns the JSON Web Key Set as it is now. Raises IssuerUnavailableError. `clock` is monotonic."""
        self._fetch = fetch
        self._clock = clock
        self._fetching = Lock()
        self._fetched: _Fetched | None = None
        self._failure = "The keys of the issuer of logins were not here in time."
        self._tried_s: float | None = None

    def find(self, key_id: str | None, algorithm: str) -> SigningKey | None:
        """The key of that id, for that algorithm; without an id, the only one that there is for it.

        None if the issuer has no such key, as far as is known. Raises IssuerUnavailableError if nothing is known.
        """
        known = self._believed()
        found = None if known is None else _one_of(known.keys, key_id, algorithm)
        if known is not None and found is not None and self._clock() - known.at_s < FRESH_S:
            return found
        # Who has a key to go on with does not wait for another's fetching.
        if self._fetching.acquire(timeout=0 if found else _left_s()):
            try:
                self._fetch_if_due()
            finally:
                self._fetching.release()
        known = self._believed()
        if known is None:
            raise IssuerUnavailableError(self._failure)
        return _one_of(known.keys, key_id, algorithm)

    def _believed(self) -> _Fetched | None:
        known = self._fetched
        return None if known is None or self._clock() - known.at_s >= LAST_GOOD_S else known

    def _fetch_if_due(self) -> None:
        now = self._clock()
        pause_s = FIRST_PAUSE_S if self._believed() is None else PAUSE_S
        if self._tried_s is not None and now - self._tried_s < pause_s:
            return
        self._tried_s = now
        try:
            self._fetched = _Fetched(parse(self._fetch()), now)
        except IssuerUnavailableError as error:
            self._failure = error.message
            logger.warning("signing keys not refreshed", extra={"reason": error.message})
            emit_metric("SigningKeysNotRefreshed")


def parse(key_set: JsonObject) -> tuple[SigningKey, ...]:
    """The keys of a JSON Web Key Set (RFC 7517) that tokens may be signed with; others are none of ours.

    IssuerUnavailableError if there are none.
    """
    entries = key_set.get("keys")
    found = [
        key
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        for algorithm, key_type in ALGORITHMS.items()
        if entry.get("kty") == key_type and (key := _key(entry, algorithm)) is not None
    ]
    if not found:
        raise IssuerUnavailableError(f"The issuer of logins publishes no key for {', '.join(ALGORITHMS)}.")
    return tuple(found)


def _key(entry: JsonObject, algorithm: str) -> SigningKey | None:
    operations = entry.get("key_ops")
    key_id = entry.get("kid")
    is_meant = (
        entry.get("use", "sig") == "sig"
        and entry.get("alg", algorithm) == algorithm
        and (not isinstance(operations, list) or "verify" in operations)
        and (key_id is None or isinstance(key_id, str))
        # Whoever publishes a private key has none any more.
        and "d" not in entry
    )
    if not is_meant:
        return None
    try:
        return SigningKey(key_id, algorithm, jwt.PyJWK(entry, algorithm))
    except jwt.PyJWTError:
        return None


def _one_of(keys: tuple[SigningKey, ...], key_id: str | None, algorithm: str) -> SigningKey | None:
    fitting = [key for key in keys if key.algorithm == algorithm and key_id in {None, key.id}]
    if key_id is None and len(fitting) != 1:
        return None
    return fitting[0] if fitting else None


def _left_s() -> float:
    """For how long a request may wait, -1 for as long as it takes, as locks have it."""
    left_s = time_limit.until_s() - time.monotonic()
    return -1 if left_s > PAUSE_S else max(0.0, left_s)
