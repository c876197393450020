"""Secrets of endpoints, and signatures. Pure.

Each endpoint's secret is derived from the stack's own, which Secrets Manager keeps: no table holds what could sign, and
another endpoint costs nothing. Source of the headers: the Standard Webhooks specification, "Signature scheme".
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"


def endpoint_secret(root: str, tenant: str, endpoint_id: str, salt: str) -> str:
    """The secret of an endpoint, as its owner is shown it: 32 bytes, in base64 behind a prefix.

    `root` is the stack's own secret. Another salt makes another secret.
    """
    context = "\n".join(("webhook", tenant, endpoint_id, salt))
    key = hmac.new(root.encode(), context.encode(), hashlib.sha256).digest()
    return _PREFIX + base64.b64encode(key).decode()


def signed_headers(event_id: str, at_s: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers by which a receiver knows who has sent a body, when, and whether it has seen it before.

    `at_s` is when it is sent, in seconds since 1970. There is a signature for each secret.
    """
    signed = f"{event_id}.{at_s}.".encode() + body
    signatures = [
        base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode() for secret in secrets
    ]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX))
