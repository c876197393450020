"""What botocore signs is taken, and nothing else."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tools.signature import AccessKey, SentRequest, SignatureError, verify

KEY = AccessKey("123456789012", "a secret access key")
URL = "http://127.0.0.1:4242"


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be signed."""

    service: str = "dynamodb"
    method: str = "POST"
    url: str = f"{URL}/"
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


OBJECT = Call("s3", "GET", f"{URL}/bucket/key", b"")


def signed(call: Call = Call(), key: AccessKey = KEY) -> SentRequest:
    """A request that botocore signs in a header."""
    return _sent(call, S3SigV4Auth if call.service == "s3" else SigV4Auth, key)


def presigned(call: Call = OBJECT, expires_s: int = 60) -> SentRequest:
    """A request that botocore signs in its URL."""
    signer = S3SigV4QueryAuth if call.service == "s3" else SigV4QueryAuth
    return _sent(call, partial(signer, expires=expires_s), KEY)


def _sent(call: Call, signer: Callable[..., SigV4Auth], key: AccessKey) -> SentRequest:
    made = AWSRequest(call.method, call.url, headers=call.headers, data=call.body)
    signer(Credentials(key.access_key_id, key.secret_access_key), call.service, "us-east-1").add_auth(made)
    url = urlsplit(str(made.url))
    headers = [(name.lower(), value) for name, value in made.headers.items()]
    added = [("user-agent", "a client"), ("content-length", str(len(call.body)))]
    return SentRequest(call.method, url.path, url.query, [("host", url.netloc), *headers, *added], call.body)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize(
    "call",
    [
        Call(),
        Call(headers={"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0"}),
        Call("lambda", url=f"{URL}/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations"),
        Call("sts", body=b"Action=GetCallerIdentity&Version=2011-06-15"),
        Call("apigateway", "GET", f"{URL}/restapis?limit=5&position=a%2Fb&embed=apisummary", b""),
        Call("s3", "PUT", f"{URL}/bucket/a%20key/with%2Bmany//slashes?partNumber=1&uploadId=x%3D", b"x"),
        Call("s3", "GET", f"{URL}/bucket?list-type=2&prefix=&delete", b""),
        Call(headers={"Date": "is replaced"}),
    ],
)
def test_what_an_sdk_signs_is_taken(call: Call) -> None:
    verify(signed(call), KEY, now())


@pytest.mark.parametrize(
    "call",
    [
        OBJECT,
        Call("s3", "PUT", f"{URL}/bucket/key?x-id=PutObject"),
        Call("sts", "GET", f"{URL}/?Action=GetCallerIdentity&Version=2011-06-15", b""),
    ],
)
def test_a_url_that_an_sdk_signs_is_taken(call: Call) -> None:
    verify(presigned(call), KEY, now())


@given(
    path=st.lists(st.text("abc%20-_.~:@+=", min_size=1, max_size=5).filter(lambda each: "." not in each), max_size=4),
    query=st.lists(
        st.tuples(st.text("abc%2F-_.~", min_size=1, max_size=5), st.text("abc%3D-_.~", max_size=5)), max_size=4
    ),
    body=st.binary(max_size=20),
    service=st.sampled_from(["dynamodb", "s3", "lambda"]),
)
def test_whatever_an_sdk_signs_is_taken(
    path: list[str], query: list[tuple[str, str]], body: bytes, service: str
) -> None:
    url = f"{URL}/{'/'.join(path)}?{'&'.join('='.join(pair) for pair in query)}"
    verify(signed(Call(service, url=url, body=body)), KEY, now())


def with_header(request: SentRequest, name: str, value: str) -> SentRequest:
    """The same request with a header changed."""
    return replace(request, headers=[*((each, old) for each, old in request.headers if each != name), (name, value)])


def without_header(request: SentRequest, name: str) -> SentRequest:
    """The same request without a header."""
    return replace(request, headers=[(each, value) for each, value in request.headers if each != name])


CHANGES: dict[str, tuple[Callable[[SentRequest], SentRequest], str]] = {
    "method": (lambda request: replace(request, method="DELETE"), "its signature is not the one"),
    "path": (lambda request: replace(request, path="/other"), "its signature is not the one"),
    "query": (lambda request: replace(request, query="a=b"), "its signature is not the one"),
    "body": (lambda request: replace(request, body=b'{"a": 1}'), "its signature is not the one"),
    "host": (lambda request: with_header(request, "host", "localhost:4242"), "its signature is not the one"),
    "target": (lambda request: with_header(request, "x-amz-target", "Other"), "headers are not signed: x-amz-target"),
    "date": (
        lambda request: with_header(request, "x-amz-date", "19991231T235959Z"),
        "date and its credential's differ",
    ),
    "no date": (lambda request: without_header(request, "x-amz-date"), "it has no X-Amz-Date"),
    "odd date": (lambda request: with_header(request, "x-amz-date", "today"), "its date is not like"),
    "unsigned": (lambda request: without_header(request, "authorization"), "it is not signed"),
    "two signatures": (
        lambda request: replace(request, headers=[*request.headers, ("authorization", "AWS4-HMAC-SHA256 x")]),
        "the header authorization is there 2 times",
    ),
    "another scheme": (lambda request: with_header(request, "authorization", "Bearer x"), "it is not signed"),
    "nothing in it": (
        lambda request: with_header(request, "authorization", "AWS4-HMAC-SHA256 x"),
        "its signature lacks Credential, Signature, SignedHeaders",
    ),
    "half a credential": (
        lambda request: with_header(
            request, "authorization", "AWS4-HMAC-SHA256 Credential=123456789012, SignedHeaders=host, Signature=0"
        ),
        "its credential is not",
    ),
    "bytes that are no text": (
        lambda request: with_header(
            request,
            "authorization",
            "AWS4-HMAC-SHA256 Credential=\udcff/1/r/s/aws4_request, SignedHeaders=\udcff, Signature=\udcff",
        ),
        "another access key",
    ),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_a_request_that_was_changed_is_refused(change: Callable[[SentRequest], SentRequest], reason: str) -> None:
    request = signed()
    verify(request, KEY, now())
    with pytest.raises(SignatureError, match=reason):
        verify(change(request), KEY, now())


def test_another_secret_is_refused() -> None:
    with pytest.raises(SignatureError, match="its signature is not the one"):
        verify(signed(key=AccessKey(KEY.access_key_id, "a guess")), KEY, now())


def test_another_access_key_is_refused() -> None:
    with pytest.raises(SignatureError, match="another access key"):
        verify(signed(key=AccessKey("test", KEY.secret_access_key)), KEY, now())


def test_a_signature_without_the_host_is_refused() -> None:
    request = signed()
    [authorization] = request.values("authorization")
    with pytest.raises(SignatureError, match="headers are not signed: host"):
        verify(with_header(request, "authorization", authorization.replace("=host;", "=")), KEY, now())


def test_a_body_that_is_not_the_one_declared_is_refused() -> None:
    request = signed(Call("s3", "PUT", f"{URL}/bucket/key", b"as signed"))
    with pytest.raises(SignatureError, match="its body is not the one"):
        verify(replace(request, body=b"another"), KEY, now())


@pytest.mark.parametrize("declared", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_body_that_the_signature_does_not_cover_may_be_anything(declared: str) -> None:
    request = signed(Call(headers={"X-Amz-Content-SHA256": declared}))
    verify(replace(request, body=b"another"), KEY, now())


def test_a_declared_hash_is_taken_by_other_services_than_s3_too() -> None:
    body = b'{"TableName": "t"}'
    verify(signed(Call(headers={"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}, body=body)), KEY, now())


@pytest.mark.parametrize(
    ("skew", "is_taken"),
    [
        (timedelta(minutes=14), True),
        (timedelta(minutes=-14), True),
        (timedelta(minutes=16), False),
        (timedelta(minutes=-16), False),
        (timedelta(days=365), False),
    ],
)
def test_a_date_may_be_a_quarter_of_an_hour_off(skew: timedelta, is_taken: bool) -> None:
    request = signed()
    if is_taken:
        verify(request, KEY, now() + skew)
    else:
        with pytest.raises(SignatureError, match=r"it is signed for later|its signature has expired"):
            verify(request, KEY, now() + skew)


def test_a_presigned_url_is_good_for_as_long_as_it_says() -> None:
    request = presigned(expires_s=3600)
    verify(request, KEY, now() + timedelta(minutes=59))
    with pytest.raises(SignatureError, match="its signature has expired"):
        verify(request, KEY, now() + timedelta(minutes=61))
    with pytest.raises(SignatureError, match="it is signed for later"):
        verify(request, KEY, now() - timedelta(minutes=16))


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "soon", "", "\u0661", "9" * 400])
def test_a_presigned_url_is_good_for_a_week_at_most(expires: str) -> None:
    request = presigned()
    changed = replace(request, query=request.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={expires}"))
    with pytest.raises(SignatureError, match="X-Amz-Expires has to be"):
        verify(changed, KEY, now())


@pytest.mark.parametrize("lacking", ["Signature", "Credential", "SignedHeaders", "Date"])
def test_a_presigned_url_has_all_of_its_parts(lacking: str) -> None:
    request = presigned()
    kept = [part for part in request.query.split("&") if not part.startswith(f"X-Amz-{lacking}=")]
    with pytest.raises(SignatureError, match=f"its signature lacks X-Amz-{lacking}"):
        verify(replace(request, query="&".join(kept)), KEY, now())


def test_a_presigned_url_of_another_path_is_refused() -> None:
    with pytest.raises(SignatureError, match="its signature is not the one"):
        verify(replace(presigned(), path="/bucket/other"), KEY, now())


def test_a_secret_is_in_no_error_and_no_repr() -> None:
    with pytest.raises(SignatureError) as raised:
        verify(replace(signed(), path="/other"), KEY, now())
    assert KEY.secret_access_key not in str(raised.value)
    assert KEY.secret_access_key not in repr(KEY)
