"""What a provider says reaches the caller as it was meant; what failed is never taken for an answer, nor kept."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.openai_bodies import Json, chunk, events

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
BODY: Json = {"model": "small", "messages": HELLO, "max_tokens": 20}


@pytest.fixture
def pair(aws: Aws, fake: FakeProvider) -> Iterator[ChatServer]:
    """Two credentials for one model, `one` before `two`."""
    aws.set_credentials(*(gateway(fake, alias) for alias in ("one", "two")))
    with serving(aws) as server:
        yield server


def whole(message: Json, reason: Any = "stop", **more: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
        **more,
    }


def error_of(answer: Any) -> Json:
    error: Json = answer.json()["error"]
    return error


CALLS = [
    {"id": f"call_{city}", "index": 0, "type": "function", "function": {"name": "weather", "arguments": {"city": city}}}
    for city in ("Paris", "Rome")
]


def test_two_calls_stay_two_calls_whole_streamed_cached_and_in_a_conversation(
    chat: ChatServer, fake: FakeProvider
) -> None:
    client = chat.openai()
    fake.add_raw(events(chunk({"role": "assistant", "tool_calls": CALLS}), chunk({}, "stop")))
    asked: Json = {"model": "small", "messages": HELLO, "extra_body": {"metadata": {"sluice_conversation_id": "c1"}}}
    with client.chat.completions.stream(model="small", messages=HELLO, extra_body=asked["extra_body"]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    assert [call.id for call in message.tool_calls] == ["call_Paris", "call_Rome"]
    results = [{"role": "tool", "tool_call_id": f"call_{city}", "content": "sunny"} for city in ("Paris", "Rome")]
    client.chat.completions.create(**{**asked, "messages": results})
    history = fake.last_body()["messages"]
    assert [message["role"] for message in history] == ["user", "assistant", "tool", "tool"]
    sent = [(call["id"], json.loads(call["function"]["arguments"])) for call in history[1]["tool_calls"]]
    assert sent == [("call_Paris", {"city": "Paris"}), ("call_Rome", {"city": "Rome"})]

    fake.add_raw(json.dumps(whole({"content": None, "tool_calls": CALLS})).encode())
    first = chat.post(BODY)
    for streamed in (False, True):
        cached = chat.post(BODY | {"stream": streamed})
        assert cached.headers["x-sluice-cache"] == "hit"
        if not streamed:
            assert cached.json() == first.json()
        else:
            parts = [json.loads(line[6:]) for line in cached.text.splitlines() if line.startswith("data: {")]
            indexes = [call["index"] for call in parts[0]["choices"][0]["delta"]["tool_calls"]]
            assert indexes == [0, 1]


NOT_KEPT: dict[str, bytes] = {
    "length": json.dumps(whole({"content": "Hel"}, "length")).encode(),
    "content_filter": json.dumps(whole({"content": "Hel"}, "content_filter")).encode(),
    "empty": json.dumps(whole({"content": ""})).encode(),
    "null": json.dumps(whole({"content": None})).encode(),
    "no end": json.dumps(whole({"content": "Hel"}, "")).encode(),
    "length, streamed": events(chunk({"content": "Hel"}), chunk({}, "length")),
    "content_filter, streamed": events(chunk({"content": "Hel"}), chunk({}, "SAFETY")),
    "empty, streamed": events(chunk({"role": "assistant", "content": ""}), chunk({}, "stop")),
}


@pytest.mark.parametrize("answer", NOT_KEPT)
def test_what_is_not_whole_is_answered_and_not_kept(chat: ChatServer, fake: FakeProvider, answer: str) -> None:
    streamed = "streamed" in answer
    fake.add_raw(NOT_KEPT[answer])
    assert chat.post(BODY | {"stream": streamed}).status_code == 200
    assert chat.count("RESPONSE_CACHE_TABLE") == 0
    again = chat.post(BODY)
    assert again.headers["x-sluice-cache"] == "miss"
    assert "Hello" in again.text


@pytest.mark.parametrize("done", [False, True])
def test_a_stream_without_an_end_is_no_answer_though_every_chunk_has_a_reason(
    chat: ChatServer, fake: FakeProvider, done: bool
) -> None:
    said = events(*(chunk({"content": f"the secret is {n} "}, "") for n in range(3)), done=done)
    fake.add_raw(said)
    answer = chat.post(BODY | {"stream": True})
    assert '"answer_interrupted"' in answer.text
    assert "[DONE]" not in answer.text
    assert chat.count("RESPONSE_CACHE_TABLE") == 0


FAILED: dict[str, bytes] = {
    "a role, then an error beside empty choices": events(
        chunk({"role": "assistant"}), {"error": {"message": "x", "code": 502}, "choices": []}
    ),
    "a role, then finish_reason error": events(chunk({"role": "assistant", "content": ""}), chunk({}, "error")),
    "event: error": b'event: error\ndata: {"message": "overloaded"}\n\n',
    "only a role, then [DONE]": events(chunk({"role": "assistant"})),
    "only a role": events(chunk({"role": "assistant"}), done=False),
}


@pytest.mark.parametrize("answer", FAILED)
def test_what_failed_before_anything_was_said_is_answered_by_the_next(
    pair: ChatServer, fake: FakeProvider, answer: str
) -> None:
    fake.add_raw(FAILED[answer], api_key="key-one")
    found = pair.post(BODY | {"stream": True})
    assert found.headers["x-sluice-deployment"] == "two#small"
    assert "Hello" in found.text
    assert found.text.endswith("data: [DONE]\n\n")


def refuse(fake: FakeProvider, status: int, body: Any, **more: Any) -> None:
    fake.add_raw((body if isinstance(body, str) else json.dumps(body)).encode(), raw_status=status, **more)


NOT_THE_REQUESTS: list[tuple[int, Any]] = [
    (400, [{"error": {"code": 400, "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}]),
    (400, {"error": {"message": "Organization has been restricted.", "code": "organization_restricted"}}),
    (400, [{"error": {"code": 400, "message": "User location is not supported for the API use."}}]),
    (413, {"error": {"message": "Request too large for model `m` on tokens per minute (TPM): Limit 6000"}}),
    (400, {"error": {"message": "x", "code": "model_decommissioned"}}),
    (400, {"error": {"message": "x", "code": "model_not_supported"}}),
    (404, {"error": {"message": "No endpoints found that support tool use.", "code": 404}}),
    (402, {"error": {"message": "You requested up to 9 tokens, but can only afford 1.", "code": 402}}),
    (429, "<html>slow down</html>"),
    (500, "[" * 50_000),
]


@pytest.mark.parametrize(("status", "body"), NOT_THE_REQUESTS, ids=range(len(NOT_THE_REQUESTS)))
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_not_the_requests_own_fault_is_asked_of_the_next(
    pair: ChatServer, fake: FakeProvider, status: int, body: Any, streamed: bool
) -> None:
    refuse(fake, status, body, api_key="key-one")
    answer = pair.post(BODY | {"stream": streamed})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-deployment"] == "two#small"


def test_what_a_request_provoked_takes_no_model_from_others(pair: ChatServer, fake: FakeProvider) -> None:
    for status, message in ((404, "No endpoints found that support tool use."), (402, "but can only afford 1")):
        refuse(fake, status, {"error": {"message": message, "code": status}}, api_key="key-one")
        assert pair.post(BODY | {"seed": status}).headers["x-sluice-deployment"] == "two#small"
        fake.clear_faults()
        asked = len(fake.requests())
        pair.post(BODY | {"seed": status + 1})
        assert any(each["api_key"] == "key-one" for each in fake.requests()[asked:]) or status
    for _ in range(20):
        pair.post(BODY | {"seed": 7})
    assert {each["api_key"] for each in fake.requests()} == {"key-one", "key-two"}


def test_the_requests_own_fault_ends_the_search_and_keeps_its_status(pair: ChatServer, fake: FakeProvider) -> None:
    refuse(fake, 422, {"error": "Input validation error: `temperature` must be strictly positive"}, times=None)
    answer = pair.post(BODY)
    assert answer.status_code == 422
    assert error_of(answer)["type"] == "invalid_request_error"
    assert "strictly positive" in error_of(answer)["message"]
    assert len(fake.requests()) == 1


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
def test_what_a_model_spoiled_is_asked_once_more(chat: ChatServer, fake: FakeProvider, code: str) -> None:
    refuse(fake, 400, {"error": {"message": "x", "code": code, "failed_generation": "<f>"}})
    answer = chat.post(BODY)
    assert answer.status_code == 200
    assert answer.headers["x-sluice-attempts"] == "2"
    assert len(fake.requests()) == 2


def test_a_provider_that_refuses_stream_options_is_asked_once_more_without(
    chat: ChatServer, fake: FakeProvider
) -> None:
    refuse(fake, 400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}})
    answer = chat.post(BODY | {"stream": True})
    assert "Hello" in answer.text
    assert ["stream_options" in each["body"] for each in fake.requests()] == [True, False]
    chat.post(BODY | {"stream": True, "seed": 1})
    assert "stream_options" not in fake.last_body()


def test_a_prompt_that_is_too_long_for_one_model_is_answered_by_a_larger_one(aws: Aws, fake: FakeProvider) -> None:
    models = {
        "small": model(context_window=8_000, fallbacks=["same", "large"]),
        "same": model(context_window=8_000),
        "large": model(context_window=100_000),
    }
    aws.set_credentials(gateway(fake, "one", models=models))
    too_long = {"error": {"message": "maximum context length is 8000 tokens", "code": "context_length_exceeded"}}
    with serving(aws) as chat:
        refuse(fake, 400, too_long)
        assert chat.post(BODY).headers["x-sluice-deployment"] == "one#large"
        assert [each["body"]["model"] for each in fake.requests()] == ["small", "large"]
        refuse(fake, 400, too_long, times=None)
        answer = chat.post(BODY | {"seed": 1})
        assert answer.status_code == 400
        assert error_of(answer)["code"] == "context_length_exceeded"


def test_a_wait_that_an_overloaded_provider_asks_for_is_passed_on(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "3")
    aws.set_credentials(gateway(fake, "one"))
    with serving(aws) as chat:
        refuse(fake, 503, {"error": "Model m is currently loading", "estimated_time": 20.5}, times=None)
        answer = chat.post(BODY)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "21"
        assert len(fake.requests()) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"models": ["dear"]}, "models"),
        ({"route": "fallback"}, "route"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"tools": [{"type": "browser_search"}]}, "tools[0].type"),
        ({"response_format": {"type": "regex", "value": "a"}}, "response_format.type"),
    ],
)
def test_what_nobody_allowed_is_refused_by_name_and_costs_a_request(
    chat: ChatServer, fake: FakeProvider, fields: Json, param: str
) -> None:
    answer = chat.post(BODY | fields)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
    assert "operator" in error_of(answer)["message"]
    assert fake.requests() == []
    assert chat.counted() == {"caller": {"requests_per_minute": 1, "requests_per_day": 1}}


def test_what_a_credential_allows_is_sent_by_it_alone(aws: Aws, fake: FakeProvider) -> None:
    price = {
        "prompt_usd": 1.0,
        "completion_usd": 2.0,
        "service_tiers": {"flex": {"prompt_usd": 0.5, "completion_usd": 1}},
    }
    aws.set_credentials(
        gateway(fake, "one"),
        gateway(fake, "two", models={"small": model(price=price)}, allowed_fields=["top_k", "response_format.regex"]),
    )
    with serving(aws) as chat:
        for fields in ({"top_k": 5}, {"response_format": {"type": "regex", "value": "a"}}, {"service_tier": "flex"}):
            answer = chat.post(BODY | fields)
            assert answer.headers["x-sluice-deployment"] == "two#small"
            assert fields.items() <= fake.last_body().items()
        fake.configure(usage={"prompt_tokens": 100, "completion_tokens": 10})
        answer = chat.post(BODY | {"service_tier": "flex", "seed": 1})
        assert answer.headers["x-sluice-cost-usd"] == "0.00006"


def test_metadata_that_means_something_else_passes(chat: ChatServer, fake: FakeProvider) -> None:
    meant = {"user": {"id": 7}, "task": "x" * 500, "conversation_id": 3}
    assert chat.post(BODY | {"metadata": meant}).status_code == 200
    assert fake.last_body()["metadata"] == meant
    mixed = {"user": "u", "trace": "t"}
    assert chat.post(BODY | {"metadata": mixed | {"sluice_user": "ada"}, "seed": 1}).status_code == 200
    assert fake.last_body()["metadata"] == mixed


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 515,
                "completion_tokens_details": {"reasoning_tokens": 500},
            },
            515,
        ),
        ({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 4_020}, 4_020),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_usage_is_counted_for_all_that_it_says(
    chat: ChatServer, fake: FakeProvider, streamed: bool, usage: Json, tokens: int
) -> None:
    last = {"id": "c", "choices": [], "usage": usage}
    fake.add_raw(
        events(chunk({"content": "Hi."}), chunk({}, "stop"), last)
        if streamed
        else json.dumps(whole({"content": "Hi."}, usage=usage)).encode()
    )
    assert chat.post(BODY | {"stream": streamed}).status_code == 200
    assert chat.counted()["deployment"]["tokens_per_minute"] == tokens


def test_a_usage_without_a_completion_leaves_the_reservation(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_raw(json.dumps(whole({"content": "Hi."}, usage={"prompt_tokens": 10, "total_tokens": 10})).encode())
    assert chat.post(BODY).status_code == 200
    assert chat.counted()["deployment"]["tokens_per_minute"] > 20 + 10


def test_the_larger_of_two_limits_is_reserved_and_sent(aws: Aws, fake: FakeProvider) -> None:
    limits = {"requests_per_minute": 100, "tokens_per_minute": 6_000}
    aws.set_credentials(gateway(fake, "one", models={"small": model(limits=limits)}))
    with serving(aws) as chat:
        refused = chat.post(BODY | {"max_tokens": 90_000, "max_completion_tokens": 1})
        assert error_of(refused)["code"] == "request_exceeds_limit"
        assert fake.requests() == []
        chat.post(BODY | {"max_tokens": 1, "max_completion_tokens": 30})
        assert fake.last_body()["max_tokens"] == 30
        assert "max_completion_tokens" not in fake.last_body()


def test_a_guess_never_jams_a_limit(aws: Aws, fake: FakeProvider) -> None:
    limits = {"requests_per_minute": 1_000, "tokens_per_minute": 20_000}
    aws.set_credentials(gateway(fake, "one", models={"small": model(limits=limits)}))
    body = {"model": "small", "messages": HELLO}
    with serving(aws) as chat:
        for seed in range(2):
            fake.configure(usage={"prompt_tokens": 10, "completion_tokens": 7_000})
            assert chat.post(body | {"seed": seed}).status_code == 200
        fake.configure(usage={"prompt_tokens": 10, "completion_tokens": 10})
        answers = [chat.post(body | {"seed": 10 + seed}).status_code for seed in range(20)]
        assert answers == [200] * 20


def test_half_a_character_blocks_no_conversation(chat: ChatServer, fake: FakeProvider) -> None:
    label = {"sluice_conversation_id": "c1"}
    fake.add_raw(events(chunk({"content": "a\ud83d"}), chunk({}, "stop")))
    assert "[DONE]" in chat.post(BODY | {"stream": True, "metadata": label}).text
    fake.add_raw(json.dumps(whole({"content": "b\ude00"})).encode())
    assert chat.post(BODY | {"metadata": label}).status_code == 200
    assert chat.post(BODY | {"metadata": label}).status_code == 200
    said = [message["content"] for message in fake.last_body()["messages"] if message["role"] == "assistant"]
    assert said == ["a\ufffd", "b\ufffd"]


def test_the_official_client_reads_a_stream_that_is_spelled_oddly(chat: ChatServer, fake: FakeProvider) -> None:
    odd = b"\xef\xbb\xbf: OPENROUTER PROCESSING\r\n\r\nevent: ping\r\ndata: {}\r\n\r\n" + events(
        {"id": "", "choices": [], "created": 0},
        chunk({"role": "assistant", "content": [{"type": "text", "text": "Hel"}]}, ""),
        chunk({"content": "lo."}, "null"),
        chunk({}, "end_turn"),
    ).replace(b"\n", b"\r\n")
    fake.add_raw(odd)
    chunks = list(chat.openai().chat.completions.create(model="small", messages=HELLO, stream=True))
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "Hello."
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_null_and_a_float_are_accepted(chat: ChatServer, fake: FakeProvider) -> None:
    client: openai.OpenAI = chat.openai()
    odd = {"stream": None, "max_tokens": 100.0, "stop": None, "tools": None, "n": None, "seed": None}
    client.chat.completions.create(model="small", messages=HELLO, extra_body=odd)
    assert fake.last_body()["max_tokens"] == 100
    assert fake.last_body().keys() <= {"model", "messages", "max_tokens"}
