"""Signatures are those that botocore makes of the same requests."""

from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore import credentials as boto_credentials
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.storage.signing import Credentials, Signer
from tests.examples import examples

_VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
_WORDS = st.text(_VISIBLE, min_size=1, max_size=40)
_NAMES = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-"), min_size=1, max_size=20)
_CREDENTIALS = st.builds(
    Credentials,
    st.text(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), min_size=16, max_size=20),
    _WORDS,
    st.none() | _WORDS,
)
_HEADERS = st.fixed_dictionaries(
    {
        "content-type": st.sampled_from(["application/x-amz-json-1.0", "application/x-amz-json-1.1"]),
        "host": st.sampled_from(["dynamodb.eu-central-1.amazonaws.com", "127.0.0.1:4566", "[::1]:8000"]),
        "x-amz-target": _NAMES.map("DynamoDB_20120810.{}".format),
    }
)
_MOMENTS = st.integers(0, 4_102_444_800)


def _of_botocore(
    headers: dict[str, str], body: bytes, credentials: Credentials, moment_s: int, region: str, service: str
) -> dict[str, str]:
    request = AWSRequest("POST", f"http://{headers['host']}/", headers=headers, data=body)
    signer = SigV4Auth(
        boto_credentials.Credentials(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        ),
        service,
        region,
    )
    now = datetime.fromtimestamp(moment_s, UTC).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@settings(max_examples=examples(200))
@given(
    headers=_HEADERS,
    body=st.binary(max_size=2000),
    credentials=_CREDENTIALS,
    moment_s=_MOMENTS,
    region=st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1"]),
    service=st.sampled_from(["dynamodb", "secretsmanager"]),
)
def test_a_request_is_signed_as_botocore_signs_it(
    headers: dict[str, str], body: bytes, credentials: Credentials, moment_s: int, region: str, service: str
) -> None:
    signed = Signer(region=region, service=service).sign(headers, body, credentials, moment_s)
    assert signed == _of_botocore(headers, body, credentials, moment_s, region, service)


@given(requests=st.lists(st.tuples(_CREDENTIALS, _MOMENTS), min_size=2, max_size=6))
def test_the_key_that_is_kept_is_of_that_day_and_secret(requests: list[tuple[Credentials, int]]) -> None:
    headers = {"host": "127.0.0.1:4566"}
    kept = Signer(region="us-east-1", service="dynamodb")
    for credentials, moment_s in [*requests, *requests]:
        afresh = Signer(region="us-east-1", service="dynamodb").sign(headers, b"{}", credentials, moment_s)
        assert kept.sign(headers, b"{}", credentials, moment_s) == afresh


@pytest.mark.parametrize("name", ["secret_access_key", "session_token"])
def test_credentials_do_not_show_what_is_secret(name: str) -> None:
    credentials = Credentials("AKIAEXAMPLE", "wJalrXUtnFEMI", "FwoGZXIvYXdz")
    assert str(getattr(credentials, name)) not in repr(credentials)
