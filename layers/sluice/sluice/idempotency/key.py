"""Idempotency keys: whose request a key names, and what makes two requests the same one. Pure.

Source: "The Idempotency-Key HTTP Header Field" (IETF, draft-ietf-httpapi-idempotency-key-header), sections 2.2 to 2.6.
"""

import hashlib
import json
from collections.abc import Mapping

from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass

HEADER = "idempotency-key"
MOST_CHARACTERS = 255
PREFIX = "idempotency#"
"""What partition keys of kept answers begin with."""

# Raise it when what was kept before must not be taken for the answer of the same request any more.
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """What of a request determines its answer, as it was sent.

    `path` holds the parameters of the route's path, `labels` those of the headers.
    """

    route: str
    path: Mapping[str, str]
    body: bytes
    labels: tuple[str | None, ...]
    skips_cache: bool
    no_store: bool


def partition_key(tenant: str, caller: str, key: str) -> str:
    """Under what the answer to a caller's `key` is kept: nobody else's key leads there.

    Raises InvalidRequestError for a key that is empty or too long.
    """
    if not 0 < len(key) <= MOST_CHARACTERS:
        raise InvalidRequestError(
            f"Idempotency-Key: should have 1 to {MOST_CHARACTERS} characters, and has {len(key)}.",
            param=HEADER,
            code="invalid_idempotency_key",
        )
    return f"{PREFIX}{tenant}#{_digest([caller, key])}"


def fingerprint(sent: SentRequest) -> str:
    """SHA-256, as hex, of what determines the answer. Bodies are the same if their JSON is, in whatever order."""
    body = hashlib.sha256(_canonical(sent.body)).hexdigest()
    path = dict(sorted(sent.path.items()))
    return _digest([_VERSION, sent.route, path, body, list(sent.labels), sent.skips_cache, sent.no_store])


def retry_after_s(began_s: float, ends_s: float, now_s: float) -> int:
    """When to ask again for an answer that is under way since `began_s`, and given up at `ends_s`: whole seconds.

    As long as it has taken already, so that who waits asks rarely, and waits twice as long as it takes at most.
    """
    return max(1, min(round(now_s - began_s), round(ends_s - now_s), _LONGEST_WAIT_S))


# The SDKs of OpenAI and Groq do as they are told up to a minute.
_LONGEST_WAIT_S = 60


def _canonical(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode("ascii")
    except (ValueError, RecursionError):
        # What another parser took: it is the same if its bytes are.
        return body


def _digest(parts: list[object]) -> str:
    # JSON keeps parts apart, whatever they hold.
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()
