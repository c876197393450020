"""What callers are told, and what is logged, when something goes wrong."""

import json
import logging
from decimal import Decimal

import openai
import pytest
from pydantic import BaseModel

from sluice import errors
from sluice.api import sse
from sluice.api.envelope import Response, error_response, json_response, to_json
from sluice.chat import ChatRequest
from sluice.gateway.provenance import Provenance, RequestLimit

PROMPT = "my-very-private-prompt"


def told(error: Exception) -> Response:
    return error_response(error, "req_1")


def sluice_errors(parent: type[errors.SluiceError] = errors.SluiceError) -> list[type[errors.SluiceError]]:
    return [parent, *(found for child in parent.__subclasses__() for found in sluice_errors(child))]


def make(error: type[errors.SluiceError]) -> errors.SluiceError:
    if issubclass(error, errors.QuotaExceededError):
        return error("No.", retry_after_s=7)
    if issubclass(error, errors.MethodNotAllowedError):
        return error("No.", allowed=["GET"])
    return error("No.")


@pytest.mark.parametrize("kind", sluice_errors())
def test_every_error_becomes_its_status_in_openai_s_envelope(kind: type[errors.SluiceError]) -> None:
    response = told(make(kind))
    assert response.status == kind.status
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.body) == {
        "error": {"message": "No.", "type": kind.type, "param": None, "code": kind.code}
    }


def test_an_error_brings_its_headers_and_the_id_of_its_request() -> None:
    refused = told(errors.QuotaExceededError("No.", retry_after_s=7))
    assert refused.headers["retry-after"] == "7"
    assert refused.headers["x-sluice-request-id"] == refused.headers["x-request-id"] == "req_1"
    assert "retry-after" not in told(errors.QuotaExceededError("No.", retry_after_s=None)).headers


def test_an_unexpected_error_is_a_500_and_its_message_goes_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        try:
            dict[str, str]()[PROMPT]
        except KeyError as cause:
            raise RuntimeError(PROMPT) from cause

    with caplog.at_level(logging.DEBUG), pytest.raises(RuntimeError) as caught:
        fail()
    response = told(caught.value)
    assert response.status == 500
    assert json.loads(response.body)["error"]["type"] == "server_error"
    assert PROMPT.encode() not in response.body
    [record] = caplog.records
    assert PROMPT not in json.dumps(record.__dict__, default=str)
    assert record.__dict__["request_id"] == "req_1"
    assert "RuntimeError" in record.getMessage()
    raised = record.__dict__["raised"]
    assert "KeyError" in raised
    assert any("test_http_responses.py" in line and line.endswith(" fail") for line in raised)


def test_our_own_faults_are_logged_with_their_reason_and_the_caller_s_without(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told(errors.InvalidRequestError("no"))
    told(errors.QuotaExceededError("no", retry_after_s=1))
    told(errors.StorageUnavailableError("Reading the directory failed: ThrottlingException"))
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "ERROR"]
    assert [record.__dict__["request_id"] for record in caplog.records] == ["req_1"] * 3
    assert [record.__dict__["code"] for record in caplog.records[:2]] == ["invalid_request", "rate_limit_exceeded"]
    record = caplog.records[2]
    assert record.__dict__["reason"] == "Reading the directory failed: ThrottlingException"


def test_a_validation_error_raised_anywhere_is_the_caller_s_and_hides_the_value() -> None:
    class Inner(BaseModel):
        count: int

    class Outer(BaseModel):
        inner: list[Inner]

    with pytest.raises(ValueError, match="count") as caught:
        Outer.model_validate({"inner": [{"count": PROMPT}]})
    response = told(caught.value)
    assert response.status == 400
    assert json.loads(response.body)["error"]["param"] == "inner[0].count"
    assert PROMPT.encode() not in response.body


def test_half_a_surrogate_pair_survives_in_an_answer() -> None:
    assert json.loads(to_json({"text": "\ud83d"})) == {"text": "\ud83d"}
    assert to_json({"text": "é"}) == '{"text":"é"}'.encode()


def test_an_answer_is_compact_json() -> None:
    response = json_response({"a": [1, None]}, status=201, headers={"x-a": "b"})
    assert (response.status, response.body) == (201, b'{"a":[1,null]}')
    assert response.headers == {"content-type": "application/json", "x-a": "b"}


def test_openai_s_own_decoder_reads_the_events() -> None:
    decoder, written = openai._streaming.SSEDecoder(), sse.StreamFormat()
    stream = (
        written.event({"text": "a\nb\r\n\u2028é"})
        + written.done()
        + written.error(errors.NoProviderError("All of groq-1 and hf-1 failed."))
    )
    text, end, failed = list(decoder.iter_bytes(iter([stream])))
    assert text.json() == {"text": "a\nb\r\n\u2028é"}
    assert end.data == "[DONE]"
    assert failed.json()["error"] == {
        "message": "All of groq-1 and hf-1 failed.",
        "type": "server_error",
        "param": None,
        "code": "no_provider_available",
    }


def test_headers_say_how_an_answer_came_about() -> None:
    assert Provenance(request_id="r-1").headers() == {"x-sluice-request-id": "r-1"}
    told = Provenance(
        request_id="r-1",
        deployment="groq-1#llama",
        model="llama",
        complexity="simple",
        cache="miss",
        attempts=2,
        cost_usd=Decimal("0.00000005"),
        flagged_rules=("secrets", "personal-data"),
    ).headers()
    assert told["x-sluice-cost-usd"] == "0.00000005"
    assert told["x-sluice-attempts"] == "2"
    assert told["x-sluice-guard-flags"] == "secrets,personal-data"


def test_no_value_can_start_a_header_of_its_own() -> None:
    told = Provenance(request_id="r", model="a\r\nset-cookie: é").headers()
    assert told["x-sluice-model"] == "a??set-cookie: ?"


def test_what_is_left_of_a_caller_s_requests_is_never_less_than_nothing() -> None:
    assert RequestLimit(limit=100, remaining=-1, reset_s=12.5).headers() == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "12.5s",
    }


def test_a_chat_request_s_error_reaches_the_caller_with_its_place() -> None:
    from sluice.validation.body import parse_body

    with pytest.raises(errors.InvalidRequestError) as caught:
        parse_body(b'{"model": "a", "messages": [{"role": "user", "content": 1}]}', ChatRequest)
    assert json.loads(told(caught.value).body)["error"]["param"] == "messages[0].content"
