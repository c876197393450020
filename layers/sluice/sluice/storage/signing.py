"""Signs requests with AWS Signature Version 4. Pure.

Source: "Create a signed AWS API request" in AWS's IAM user guide,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import field

from sluice.loading.dataclass import dataclass

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is signed with. `session_token` comes with credentials that expire."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Signer:
    """Signs POST requests to the root path of one service in one region. Threads may share it.

    The signing key changes with the day and the secret only, and takes most of a signature's time: it is kept.
    """

    def __init__(self, *, region: str, service: str) -> None:
        self._region = region
        self._service = service
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def sign(self, headers: Mapping[str, str], body: bytes, credentials: Credentials, now_s: float) -> dict[str, str]:
        """The `headers` and those that prove who sent them, with `body`, at `now_s` seconds since the epoch.

        Names of headers are in lower case, `host` is among them, and no value has white space to be trimmed.
        """
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        day = timestamp[:8]
        signed = {**headers, "x-amz-date": timestamp}
        if credentials.session_token is not None:
            signed["x-amz-security-token"] = credentials.session_token
        names = sorted(signed)
        signed_names = ";".join(names)
        lines = "".join([f"{name}:{signed[name]}\n" for name in names])
        canonical = f"POST\n/\n\n{lines}\n{signed_names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        to_sign = f"{_ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = self._signing_key(credentials.secret_access_key, day)
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
            f"SignedHeaders={signed_names}, Signature={signature}"
        )
        return signed

    def _signing_key(self, secret: str, day: str) -> bytes:
        kept_secret, kept_day, key = self._kept
        if kept_day != day or kept_secret != secret:
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            # One assignment: a thread sees the key before or this one, and either with its own secret and day.
            self._kept = (secret, day, key)
        return key
