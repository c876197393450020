"""Signatures of deliveries: HMAC-SHA-256 of the bytes as they came, in hexadecimal digits behind "sha256=". Pure.

Sources: GitHub, "Validating webhook deliveries" (X-Hub-Signature-256); Atlassian, "Secure admin webhooks"
(X-Hub-Signature, in the form of WebSub).
"""

import hashlib
import hmac
from collections.abc import Iterable

_METHOD = "sha256="
_DIGITS = 64


def is_signed(signature: str, body: bytes, secrets: Iterable[bytes]) -> bool:
    """Whether a body was signed with one of the secrets. How long that takes tells nothing of them."""
    method, given = signature[: len(_METHOD)], signature[len(_METHOD) :]
    # What is not ASCII can't be compared in constant time, and is no signature.
    if method.lower() != _METHOD or len(given) != _DIGITS or not given.isascii():
        return False
    # All of them, so that it is not told which one it was.
    matches = [hmac.compare_digest(given.lower(), signed(body, each)) for each in secrets]
    return any(matches)


def signed(body: bytes, secret: bytes) -> str:
    """The signature of a body, without the name of its method."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()
