"""Secrets of sources, sealed under the stack's own. Pure, but for drawing a nonce.

A source may be given a secret that there is already, so it can't be derived, and has to be kept; but tables and their
backups should hold nothing that signs. It is encrypted with the HMAC-SHA-256 of a nonce and a counter, as a stream, and
authenticated by another HMAC, each under a key of its own. Source: NIST SP 800-108, section 4.1 (a key stream from a
pseudorandom function in counter mode), and encrypt-then-MAC.
"""

import base64
import hashlib
import hmac
import secrets
from itertools import count

LEAST_SECRET_CHARACTERS = 16
MOST_SECRET_CHARACTERS = 256
_NONCE_BYTES = 16
_TAG_BYTES = 32
_NEW_SECRET_BYTES = 32


class UnsealedError(Exception):
    """What is kept can't be read with the stack's secret: that is another one now."""


def new_secret() -> str:
    """A secret of 256 bits, in digits and letters that every form takes."""
    return secrets.token_hex(_NEW_SECRET_BYTES)


def sealed(root: str, source_id: str, secret: str) -> str:
    """A secret as it is kept: nobody reads it without `root`, or in the place of another source's."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    hidden = _mixed(root, source_id, nonce, secret.encode())
    return base64.b64encode(nonce + hidden + _tag(root, source_id, nonce + hidden)).decode()


def unsealed(root: str, source_id: str, kept: str) -> bytes:
    """The secret that was sealed. Raises UnsealedError."""
    try:
        raw = base64.b64decode(kept, validate=True)
    except ValueError:
        raise UnsealedError from None
    body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
    if len(body) < _NONCE_BYTES or not hmac.compare_digest(tag, _tag(root, source_id, body)):
        raise UnsealedError
    return _mixed(root, source_id, body[:_NONCE_BYTES], body[_NONCE_BYTES:])


def _mixed(root: str, source_id: str, nonce: bytes, text: bytes) -> bytes:
    key = _key(root, source_id, "encryption")
    stream = b""
    for block in count():
        if len(stream) >= len(text):
            break
        stream += hmac.digest(key, nonce + block.to_bytes(4, "big"), hashlib.sha256)
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))


def _tag(root: str, source_id: str, body: bytes) -> bytes:
    return hmac.digest(_key(root, source_id, "authentication"), body, hashlib.sha256)


def _key(root: str, source_id: str, use: str) -> bytes:
    # "ingest" keeps it apart from what the same root derives for webhooks that are sent.
    return hmac.digest(root.encode(), "\n".join(("ingest", use, source_id)).encode(), hashlib.sha256)
