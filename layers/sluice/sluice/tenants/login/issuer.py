"""The issuer of logins: where its signing keys are, and fetching them in time."""

import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

from sluice.chat import JsonObject
from sluice.errors import IssuerUnavailableError
from sluice.settings import is_issuer_url
from sluice.storage import time_limit
from sluice.storage.connections import ConnectionPool, Endpoint, ExchangeError, Timeouts

_DISCOVERY_PATH = "/.well-known/openid-configuration"
_TIMEOUTS = Timeouts(connect_s=1.0, silence_s=2.0, answer_s=2.0)
# Both documents together, however slowly they come.
_ALL_S = 4.0
_MOST_BYTES = 512 * 1024
_OK = 200


class Issuer:
    """Fetches an issuer's JSON Web Key Set. Threads may share it."""

    def __init__(self, issuer: str, jwks_url: str = "") -> None:
        """Without `jwks_url`, the issuer's OpenID discovery document says where the keys are."""
        self._issuer = issuer
        self._jwks_url = jwks_url

    def key_set(self) -> JsonObject:
        """The key set as it is now, within the time limit of the request. Raises IssuerUnavailableError."""
        until_s = min(time_limit.until_s(), time.monotonic() + _ALL_S)
        return _fetch(self._jwks_url or self._discover(until_s), until_s)

    def _discover(self, until_s: float) -> str:
        """Source: "OpenID Connect Discovery 1.0", section 4; what it says of itself must be who was asked (4.3)."""
        found = _fetch(self._issuer.rstrip("/") + _DISCOVERY_PATH, until_s)
        if found.get("issuer") != self._issuer:
            raise IssuerUnavailableError("The issuer's discovery document is of another issuer.")
        url = found.get("jwks_uri")
        if not isinstance(url, str) or not is_issuer_url(url):
            raise IssuerUnavailableError("The issuer's discovery document names no jwks_uri of https.")
        return url


def _fetch(url: str, until_s: float) -> JsonObject:
    """A JSON object by GET. Redirects are not followed: they might lead off HTTPS. Raises IssuerUnavailableError."""
    parts = urlsplit(url)
    endpoint = Endpoint.from_url(f"{parts.scheme}://{parts.netloc}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"GET {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\naccept: application/json\r\n"
        "accept-encoding: identity\r\nuser-agent: sluice\r\nconnection: close\r\n\r\n"
    )
    # As connections to providers are verified: an issuer in a company's own network may have its own authority.
    pool = ConnectionPool(endpoint, _TIMEOUTS, os.environ.get("SSL_CERT_FILE", ""))
    try:
        answer = pool.exchange(head.encode("ascii"), until_s).answer
    except (ExchangeError, UnicodeError) as error:
        reason = error.reason if isinstance(error, ExchangeError) else "its URL is not ASCII"
        raise IssuerUnavailableError(f"The issuer of logins can't be asked for its keys: {reason}.") from error
    if answer.status != _OK:
        raise IssuerUnavailableError(f"The issuer of logins answered {answer.status} when it was asked for its keys.")
    return _object(answer.body)


def _object(body: bytes) -> JsonObject:
    try:
        found: Any = json.loads(body) if len(body) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise IssuerUnavailableError("The issuer of logins answered with what is no JSON object, or too large a one.")
    return found
