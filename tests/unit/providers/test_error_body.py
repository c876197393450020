"""Error bodies are read in every shape that providers give them, and nothing in them stops the reading."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.providers.error_body import ErrorBody


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "m", "type": "t"}}, "m"),
        ({"error": "m"}, "m"),
        ({"error": ["m", "n"]}, "m"),
        ({"message": "m", "object": "error"}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, "m"),
        ({"success": False, "errors": [{"code": 10000, "message": "m"}]}, "m"),
        ([{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}], "m"),
        ({"__type": "ThrottlingException", "message": "m"}, "m"),
        ({"Message": "m"}, "m"),
        ({"code": "InvalidApiKey", "message": "m", "request_id": "r"}, "m"),
        ({"base_resp": {"status_code": 1004, "status_msg": "m"}}, "m"),
        ({"object": "error", "message": {"detail": [{"msg": "m"}]}}, "m"),
        ({"error": {"message": '{"error": {"message": "m"}}'}}, "m"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "x"}}}, "Provider returned error"),
        ({"error": {"code": 7}}, ""),
        ({"error": None, "detail": []}, ""),
        (["m"], ""),
        ("m", "m"),
        (None, ""),
    ],
)
def test_messages_are_found_in_every_known_form(body: Any, message: str) -> None:
    assert ErrorBody.read(json.dumps(body).encode()).message == message


def test_what_an_upstream_said_is_part_of_what_is_said() -> None:
    raw = json.dumps({"error": {"message": "maximum context length is 8192 tokens", "code": "context_length_exceeded"}})
    said = ErrorBody.of({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}})
    assert "maximum context length" in said.text
    assert said.codes == ("context_length_exceeded",)
    assert said.numbers == (400,)


def test_codes_of_details_count() -> None:
    error = {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
    assert "API_KEY_INVALID" in ErrorBody.of([{"error": error}]).codes


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}",
        b"\xff\xfe\x00",
        b'{"error": {"message": "\xff"}}',
        b'{"error": {"code": ' + b"9" * 6000 + b"}}",
        b'{"error": {"code": NaN, "message": Infinity}}',
        b"",
        json.dumps({"error": {"message": "{" * 5000 + "}"}}).encode(),
    ],
)
def test_a_body_that_cannot_be_read_says_little(body: bytes) -> None:
    said = ErrorBody.read(body)
    assert len(said.text) <= 4_000
    assert said.codes == ()


def test_a_web_page_is_no_word_of_the_provider() -> None:
    for page in (
        b"<!DOCTYPE html><html><body>Forbidden</body></html>",
        b"\n<html>\r\n<head><title>502",
        b"<?xml version",
    ):
        said = ErrorBody.read(page)
        assert said.is_page
        assert said.message == ""
    assert ErrorBody.read(b"error code: 1015").message == "error code: 1015"


def test_half_a_character_in_an_error_is_borne() -> None:
    assert ErrorBody.read(b'{"error": {"message": "a\\ud83d"}}').message.startswith("a")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "message", "detail", "msg", "code", "type", "loc", "retryDelay", "x"]), inner
            )
        ),
    )
)
def test_any_json_is_read(body: Any) -> None:
    said = ErrorBody.read(json.dumps(body).encode())
    assert isinstance(said.message, str)
    assert all(isinstance(code, str) for code in said.codes)
