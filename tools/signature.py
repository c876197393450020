"""Verifies AWS Signature Version 4: whether a request was signed with an access key.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote

CLOCK_SKEW = timedelta(minutes=15)
"""How far a signature's date may be from ours."""
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
_LONGEST_PRESIGNED = timedelta(days=7)
_ALGORITHM = "AWS4-HMAC-SHA256"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
# Bodies that SDKs do not hash whole: the header says how they are protected instead.
_STREAMED_PAYLOAD = "STREAMING-"
_SIGNATURE_PARAMETER = "X-Amz-Signature"


class SignatureError(Exception):
    """A request is not signed as it has to be. The message holds neither a secret nor the right signature."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of AWS."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as it came over the wire, decoded as `text` does."""

    method: str
    path: str
    """Percent-encoded, as it was sent."""
    query: str
    """Percent-encoded, as it was sent; without the question mark."""
    headers: Sequence[tuple[str, str]]
    """With names in lower case."""
    body: bytes

    def values(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for each, value in self.headers if each == name]

    def value(self, name: str) -> str | None:
        """The value of a header, None if it is not there. Raises SignatureError if it is there twice."""
        values = self.values(name)
        if len(values) > 1:
            raise SignatureError(f"the header {name} is there {len(values)} times")
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class _Signature:
    """What a request says of its signature."""

    access_key_id: str
    scope: Sequence[str]
    """Date, region and service."""
    signed_headers: Sequence[str]
    signature: str
    timestamp: str
    expires_after: timedelta | None
    """How long after its timestamp it is good; None for one in a header."""

    @property
    def service(self) -> str:
        """What AWS calls the service."""
        return self.scope[2]

    @property
    def is_presigned(self) -> bool:
        """Whether it came in the query."""
        return self.expires_after is not None


def text(wire: bytes) -> str:
    """What came over the wire, so that it can be turned back into the same bytes."""
    return wire.decode("utf-8", "surrogateescape")


def is_same(one: str, other: str) -> bool:
    """Compare secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def verify(request: SentRequest, key: AccessKey, now: datetime) -> str:
    """Check that a request was signed with a key, and lately; returns the service it is for. Raises SignatureError."""
    found = _signature(request)
    if not is_same(found.access_key_id, key.access_key_id):
        raise SignatureError("it was signed with another access key")
    _verify_date(found, now)
    _verify_signed_headers(found, request)
    expected = _calculate(found, request, key.secret_access_key)
    if not is_same(expected, found.signature):
        raise SignatureError("its signature is not the one that the secret access key makes")
    return found.service


def _signature(request: SentRequest) -> _Signature:
    authorization = request.value("authorization")
    if authorization is not None and authorization.startswith(f"{_ALGORITHM} "):
        parts = authorization.removeprefix(f"{_ALGORITHM} ").split(",")
        fields = dict(part.strip().partition("=")[::2] for part in parts)
        expected = {"Credential", "SignedHeaders", "Signature"}
        timestamp = request.value("x-amz-date") or _timestamp_of_date(request)
        prefix, expires_after = "", None
    else:
        fields = dict(parse_qsl(request.query, keep_blank_values=True))
        if fields.get("X-Amz-Algorithm") != _ALGORITHM:
            raise SignatureError("it is not signed")
        expected = {"X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires"}
        timestamp = fields.get("X-Amz-Date", "")
        prefix, expires_after = "X-Amz-", _expiry(fields.get("X-Amz-Expires", ""))
    if missing := expected - fields.keys():
        raise SignatureError(f"its signature lacks {', '.join(sorted(missing))}")
    access_key_id, *scope = fields[f"{prefix}Credential"].split("/")
    if len(scope) != 4 or scope[3] != "aws4_request":
        raise SignatureError("its credential is not KEY/DATE/REGION/SERVICE/aws4_request")
    signed_headers = fields[f"{prefix}SignedHeaders"].split(";")
    return _Signature(
        access_key_id=access_key_id,
        scope=scope[:3],
        signed_headers=signed_headers,
        signature=fields[f"{prefix}Signature"],
        timestamp=timestamp,
        expires_after=expires_after,
    )


def _timestamp_of_date(request: SentRequest) -> str:
    """AWS takes the header Date where there is no X-Amz-Date."""
    try:
        return parsedate_to_datetime(request.value("date") or "").astimezone(UTC).strftime(_TIMESTAMP)
    except ValueError:
        raise SignatureError("it has no X-Amz-Date") from None


def _expiry(seconds: str) -> timedelta:
    expires_after = timedelta(seconds=int(seconds)) if re.fullmatch(r"\d{1,9}", seconds, re.ASCII) else None
    if expires_after is None or not timedelta() < expires_after <= _LONGEST_PRESIGNED:
        raise SignatureError("X-Amz-Expires has to be seconds, a week at most")
    return expires_after


def _verify_date(found: _Signature, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(found.timestamp, _TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError("its date is not like 20260131T235959Z") from None
    if found.scope[0] != found.timestamp[:8]:
        raise SignatureError("its date and its credential's differ")
    if signed_at > now + CLOCK_SKEW:
        raise SignatureError("it is signed for later")
    if now > signed_at + (found.expires_after or CLOCK_SKEW):
        raise SignatureError("its signature has expired")


def _verify_signed_headers(found: _Signature, request: SentRequest) -> None:
    required = {"host", *(name for name, _ in request.headers if name.startswith("x-amz-"))}
    if unsigned := required - set(found.signed_headers):
        raise SignatureError(f"headers are not signed: {', '.join(sorted(unsigned))}")
    declared = request.value("x-amz-content-sha256")
    if declared is None or declared == _UNSIGNED_PAYLOAD or declared.startswith(_STREAMED_PAYLOAD):
        return
    if not is_same(declared, hashlib.sha256(request.body).hexdigest()):
        raise SignatureError("its body is not the one that was signed")


def _calculate(found: _Signature, request: SentRequest, secret_access_key: str) -> str:
    date, region, service = found.scope
    canonical_request = "\n".join(
        [
            request.method,
            # Encoded once more, but for S3. A path with dot segments, which other services take out, matches nothing.
            request.path if service == "s3" else quote(_bytes(request.path), safe="/~"),
            _canonical_query(request.query),
            *(f"{name}:{_canonical_value(request, name)}" for name in found.signed_headers),
            "",
            ";".join(found.signed_headers),
            _payload_hash(found, request),
        ]
    )
    digest = hashlib.sha256(_bytes(canonical_request)).hexdigest()
    to_sign = "\n".join([_ALGORITHM, found.timestamp, f"{date}/{region}/{service}/aws4_request", digest])
    return _hmac(_signing_key(secret_access_key, date, region, service), to_sign).hex()


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs) if name != _SIGNATURE_PARAMETER)


def _canonical_value(request: SentRequest, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in request.values(name))


def _payload_hash(found: _Signature, request: SentRequest) -> str:
    if found.is_presigned and found.service == "s3":
        return _UNSIGNED_PAYLOAD  # who signs a URL does not know what will be sent to it
    return request.value("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()


@lru_cache(maxsize=64)
def _signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, _bytes(message), "sha256")


def _bytes(decoded: str) -> bytes:
    return decoded.encode("utf-8", "surrogateescape")
