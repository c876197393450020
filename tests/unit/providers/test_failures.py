"""What a provider's error answer means, and what of it may be repeated."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import (
    ProviderContextError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderSpoiledError,
    ProviderUnavailableError,
    ProviderUnsuitedError,
)
from sluice.providers.failures import (
    QUOTED_CHARACTERS,
    failure,
    failure_in_answer,
    refused_option,
    without,
)
from sluice.providers.headers import GROQ_DIMENSIONS, rate_limits

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@given(status=st.integers(100, 999), headers=st.dictionaries(st.just("retry-after"), st.text()), body=st.binary())
def test_any_error_answer_becomes_a_provider_error(status: int, headers: dict[str, str], body: bytes) -> None:
    error = failure(status, headers, body, secrets=(), now=NOW)
    assert isinstance(error, ProviderError)
    assert error.message


@given(
    prompt=st.text(min_size=8, max_size=60),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    cut=st.integers(QUOTED_CHARACTERS, 60),
)
def test_neither_a_prompt_nor_its_beginning_is_repeated(prompt: str, before: str, after: str, cut: int) -> None:
    for quoted in (prompt, prompt[:cut]):
        said = without(before + quoted + after, [prompt, "secret-key-1"])
        assert "[...]" in said
        width = min(len(prompt), QUOTED_CHARACTERS)
        assert not any(said[start : start + width] == prompt[:width] for start in range(len(said)))


def test_many_secrets_are_no_work_without_end() -> None:
    secrets = ["key-0123456789", *(f"some text of a request, number {n}" for n in range(300_000))]
    said = "key-0123456789 and some text of a request, number 7 " * 50
    assert without(said, secrets).startswith("[...] and [...]")


def test_a_message_that_quotes_nothing_is_repeated_as_it_is() -> None:
    body = json.dumps({"error": {"message": "'temperature': must be at most 2"}}).encode()
    error = failure(400, {}, body, secrets=["a", "What is the temperature?", "key-0123456789"])
    assert type(error) is ProviderRejectedError
    assert error.message == "'temperature': must be at most 2"


def test_a_code_is_kept_unless_the_request_put_it_there() -> None:
    body = json.dumps({"error": {"message": "too long", "code": "context_length_exceeded", "type": "t"}}).encode()
    error = failure(400, {}, body, secrets=())
    assert isinstance(error, ProviderContextError)
    assert error.code == "context_length_exceeded"
    assert failure(400, {}, b'{"error": {"message": "x", "code": 400}}', secrets=()).code is None
    quoted = failure(400, {}, b'{"error": {"message": "x", "code": "my-secret-name-0"}}', secrets=["my-secret-name-0"])
    assert quoted.code is None


def test_an_error_of_429_carries_the_waiting_time() -> None:
    error = failure(429, {}, b'{"error": {"message": "Please try again in 7.66s."}}', secrets=())
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == 7.66


def test_an_overloaded_provider_may_name_a_wait_and_its_limits_are_none() -> None:
    assert failure(503, {"retry-after": "4"}, b"", secrets=()).retry_after_s == 4
    assert (
        failure(503, {}, b'{"error": "Model m is currently loading", "estimated_time": 20.5}', secrets=()).retry_after_s
        == 20.5
    )
    assert failure(500, {"x-ratelimit-reset-requests": "2m"}, b"", secrets=()).retry_after_s is None


@pytest.mark.parametrize(
    ("is_billed", "statuses"),
    [(True, [408, 499, 502, 504, 520, 524]), (False, [400, 401, 404, 413, 429, 500, 503, 529])],
)
def test_tokens_may_be_billed_where_somebody_gave_up_waiting(is_billed: bool, statuses: list[int]) -> None:
    for status in statuses:
        error = failure(status, {}, b"<html></html>", secrets=())
        assert error.may_be_billed is is_billed
        assert error.was_sent


def test_what_a_model_spoiled_is_billed_and_asked_once_more() -> None:
    body = (
        b'{"error": {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": "<f>"}}'
    )
    error = failure(400, {}, body, secrets=())
    assert isinstance(error, ProviderSpoiledError)
    assert error.may_be_billed
    assert error.ask_again
    assert "<f>" not in error.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "property 'stream_options' is unsupported, did you mean 'stream'?"}}),
        (400, {"error": {"message": "Unrecognized request argument supplied: stream_options", "param": None}}),
        (400, {"error": {"message": "Extra inputs are not permitted", "param": "stream_options"}}),
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not"}]},
        ),
        (
            422,
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "stream_options", "include_usage"],
                            "msg": "Extra inputs are not permitted",
                            "input": True,
                        }
                    ]
                },
                "type": "invalid_request_error",
            },
        ),
        (400, {"message": "extraneous key [include_usage] is not permitted"}),
    ],
)
def test_a_refusal_of_stream_options_is_known(status: int, body: dict[str, object]) -> None:
    error = failure(status, {}, json.dumps(body).encode(), secrets=())
    assert refused_option(error, {"stream_options"}) == "stream_options"
    assert refused_option(error, {"messages"}) is None


def test_a_refusal_of_something_else_is_none_of_stream_options() -> None:
    sent = {"stream_options", "encoding_format"}
    for status, words in ((400, "stream must be true"), (500, "stream_options")):
        body = json.dumps({"error": {"message": words}}).encode()
        assert refused_option(failure(status, {}, body, secrets=()), sent) is None


@pytest.mark.parametrize("words", ["encoding_format: unknown field", "base64 is not supported"])
def test_a_refusal_of_base64_is_known(words: str) -> None:
    error = failure(422, {}, json.dumps({"error": {"message": words}}).encode(), secrets=())
    assert refused_option(error, {"encoding_format", "input"}) == "encoding_format"


def test_no_caller_puts_the_blame_on_a_credential_or_a_model() -> None:
    for said in (
        "api key not valid. Please pass a valid API key.",
        "The model `m` does not exist",
        "rate limit reached",
    ):
        body = json.dumps({"error": {"message": f"Invalid value for 'user': '{said}'"}}).encode()
        assert type(failure(400, {}, body, secrets=["key-0123456789", said])) is ProviderRejectedError
    echoed = {"detail": [{"msg": "bad tool", "input": {"type": "invalid_api_key"}, "ctx": {"code": "model_not_found"}}]}
    assert type(failure(422, {}, json.dumps(echoed).encode(), secrets=())) is ProviderRejectedError


def test_an_error_under_status_200_has_the_status_that_it_names() -> None:
    error = failure_in_answer({"error": {"code": 503, "message": "busy"}}, {"retry-after": "3"}, secrets=())
    assert isinstance(error, ProviderUnavailableError)
    assert (error.status, error.retry_after_s) == (503, 3)
    assert type(failure_in_answer({"error": {"code": "413", "message": "x"}}, {}, secrets=())) is ProviderUnsuitedError


@pytest.mark.parametrize("junk", ["", "many", "nan", "inf", "-1", "1e400", "0x10"])
def test_rate_limit_headers_that_are_no_number_say_nothing(junk: str) -> None:
    headers = {"x-ratelimit-limit-requests": junk, "x-ratelimit-remaining-requests": "7.9"}
    found = rate_limits(headers, GROQ_DIMENSIONS)
    assert found.capacities == {}
    assert found.remaining == {"requests_per_day": 7}
