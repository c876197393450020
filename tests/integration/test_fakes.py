"""The fake provider is honest: the official SDKs talk to it, and understand it as they would the real one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import groq
import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.fakes import FakeProcess, FakeProvider

QUESTION: list[Any] = [{"role": "user", "content": "What is two and two?"}]
ECHO = "Echo: What is two and two?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def fake(shared_fake: FakeProvider) -> FakeProvider:
    shared_fake.reset()
    return shared_fake


def openai_client(fake: FakeProvider, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=fake.openai_url, api_key="key-1", **{"max_retries": 0, "timeout": 5} | options)


def groq_client(fake: FakeProvider, **options: Any) -> groq.Groq:
    return groq.Groq(base_url=fake.groq_url, api_key="key-1", **{"max_retries": 0, "timeout": 5} | options)


@pytest.fixture(params=["openai", "groq"])
def client(request: pytest.FixtureRequest, fake: FakeProvider) -> Any:
    return openai_client(fake) if request.param == "openai" else groq_client(fake)


def sdk_of(client: Any) -> Any:
    return openai if isinstance(client, openai.OpenAI) else groq


def test_a_whole_answer_is_parsed(client: Any) -> None:
    answer = client.chat.completions.create(model="m", messages=QUESTION)
    assert answer.object == "chat.completion"
    assert answer.model == "m"
    assert answer.choices[0].message.content == ECHO
    assert answer.choices[0].finish_reason == "stop"
    # 5 tokens for 20 characters, 3 for the message, 3 for the prompt, 6 words of answer.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 6, 17)


def test_a_streamed_answer_is_parsed(client: Any) -> None:
    chunks = list(
        client.chat.completions.create(
            model="m", messages=QUESTION, stream=True, extra_body={"stream_options": {"include_usage": True}}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ECHO
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 17


def test_no_usage_chunk_comes_unless_it_was_asked_for(fake: FakeProvider) -> None:
    chunks = list(openai_client(fake).chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_groq_sends_its_own_fields(fake: FakeProvider) -> None:
    client = groq_client(fake)
    whole = client.chat.completions.create(model="m", messages=QUESTION)
    assert whole.x_groq is not None
    assert whole.usage is not None
    assert whole.usage.total_time is not None
    chunks = list(client.chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert chunks[0].x_groq is not None
    assert chunks[0].x_groq.id is not None
    assert chunks[-1].x_groq is not None
    assert chunks[-1].x_groq.usage is not None
    assert chunks[-1].x_groq.usage.total_tokens == 17


def test_inference_client_is_answered(fake: FakeProvider) -> None:
    client = InferenceClient(base_url=fake.huggingface_url, token="hf_key", timeout=5)
    answer = client.chat_completion(messages=QUESTION, model="m")
    assert answer.choices[0].message.content == ECHO
    streamed = client.chat_completion(messages=QUESTION, model="m", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == ECHO
    fake.add_fault("503")
    with pytest.raises(HfHubHTTPError):
        client.chat_completion(messages=QUESTION, model="m")


def test_tools_are_called_whole_and_streamed(client: Any) -> None:
    whole = client.chat.completions.create(model="m", messages=QUESTION, tools=[WEATHER])
    call = whole.choices[0].message.tool_calls[0]
    assert whole.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "x", "days": 1}
    chunks = client.chat.completions.create(model="m", messages=QUESTION, tools=[WEATHER], stream=True)
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert pieces[0].function.name == "weather"
    assert "".join(piece.function.arguments for piece in pieces) == call.function.arguments


def test_tools_are_called_in_parallel_where_some_are_required_and_may_be(client: Any) -> None:
    clock = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
    asked = {"model": "m", "messages": QUESTION, "tools": [WEATHER, clock], "tool_choice": "required"}
    alone = client.chat.completions.create(**asked).choices[0].message.tool_calls
    assert [call.function.name for call in alone] == ["weather"]
    both = client.chat.completions.create(**asked, parallel_tool_calls=True).choices[0].message.tool_calls
    assert [call.function.name for call in both] == ["weather", "clock"]
    assert len({call.id for call in both}) == 2
    streamed: dict[int, str] = {}
    for chunk in client.chat.completions.create(**asked, parallel_tool_calls=True, stream=True):
        for part in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            streamed[part.index] = streamed.get(part.index, "") + (part.function.arguments or "")
    assert [json.loads(arguments) for arguments in streamed.values()] == [{"city": "x", "days": 1}, {}]


def test_a_schema_s_references_and_alternatives_are_followed(client: Any) -> None:
    step = {"type": "object", "properties": {"text": {"type": "string"}}}
    properties = {"steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}}, "end": {"anyOf": [{"type": "null"}]}}
    schema = {"type": "object", "properties": properties, "$defs": {"Step": step}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = client.chat.completions.create(model="m", messages=QUESTION, response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"steps": [{"text": "x"}], "end": None}


def test_a_tools_result_is_answered_in_words(client: Any) -> None:
    messages = [
        *QUESTION,
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    answer = client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == "Echo: sunny"


def test_json_modes_answer_in_json(client: Any) -> None:
    loose = client.chat.completions.create(model="m", messages=QUESTION, response_format={"type": "json_object"})
    assert json.loads(loose.choices[0].message.content)["echo"] == QUESTION[0]["content"]
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}, "s": {"enum": ["a", "b"]}}}
    strict = client.chat.completions.create(
        model="m",
        messages=QUESTION,
        response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
    )
    assert json.loads(strict.choices[0].message.content) == {"n": 3, "s": "a"}


def test_n_logprobs_stop_and_max_tokens_are_obeyed(fake: FakeProvider) -> None:
    client = openai_client(fake)
    several = client.chat.completions.create(model="m", messages=QUESTION, n=3, logprobs=True, top_logprobs=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    logprobs = several.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(entry.token for entry in logprobs.content) == ECHO
    assert len(logprobs.content[0].top_logprobs) == 2
    assert several.usage is not None
    assert several.usage.completion_tokens == 6 + 7 + 7
    short = client.chat.completions.create(model="m", messages=QUESTION, max_tokens=3)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("Echo: What is", "length")
    stopped = client.chat.completions.create(model="m", messages=QUESTION, stop=" and")
    assert stopped.choices[0].message.content == "Echo: What is two"


def test_canned_answers_come_in_order(client: Any, fake: FakeProvider) -> None:
    fake.configure(answers=["not json", '{"a": 1}'], answer="afterwards")
    said = [client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content for _ in range(4)]
    assert said == ["not json", '{"a": 1}', "afterwards", "afterwards"]


def test_usage_can_be_overridden(fake: FakeProvider) -> None:
    fake.configure(usage={"prompt_tokens": 100, "completion_tokens": 23})
    usage = openai_client(fake).chat.completions.create(model="m", messages=QUESTION).usage
    assert usage is not None
    assert usage.total_tokens == 123
    assert fake.state()["tokens"] == 123


def test_models_are_listed_and_checked(fake: FakeProvider) -> None:
    fake.configure(models=["llama", "vendor/mistral"])
    client = openai_client(fake)
    assert [model.id for model in client.models.list()] == ["llama", "vendor/mistral"]
    assert client.models.retrieve("llama").id == "llama"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt", messages=QUESTION)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("400", "BadRequestError"),
        ("401", "AuthenticationError"),
        ("403", "PermissionDeniedError"),
        ("404", "NotFoundError"),
        ("422", "UnprocessableEntityError"),
        ("429", "RateLimitError"),
        ("500", "InternalServerError"),
        ("503", "InternalServerError"),
        ("reset", "APIConnectionError"),
        ("cut", "APIConnectionError"),
    ],
)
def test_faults_raise_the_sdks_own_errors(client: Any, fake: FakeProvider, fault: str, name: str) -> None:
    fake.add_fault(fault)
    with pytest.raises(getattr(sdk_of(client), name)):
        client.chat.completions.create(model="m", messages=QUESTION)
    assert client.chat.completions.create(model="m", messages=QUESTION).choices


def test_a_hang_is_a_time_out(client: Any, fake: FakeProvider) -> None:
    fake.add_fault("hang")
    with pytest.raises(sdk_of(client).APITimeoutError):
        client.chat.completions.create(model="m", messages=QUESTION, timeout=0.2)


def test_an_error_within_a_stream_is_raised(client: Any, fake: FakeProvider) -> None:
    fake.add_fault("error_midway")
    with pytest.raises(sdk_of(client).APIError, match="Fault on demand"):
        list(client.chat.completions.create(model="m", messages=QUESTION, stream=True))


def test_a_limit_that_is_reached_is_a_429_with_headers(client: Any, fake: FakeProvider) -> None:
    fake.configure(
        limits=[{"requests_per_minute": 2, "requests_per_day": 10, "tokens_per_minute": 1000}], windows=["rolling"]
    )
    raw = client.chat.completions.with_raw_response.create(model="m", messages=QUESTION)
    requests = ("10", "9") if sdk_of(client) is groq else ("2", "1")
    assert (raw.headers["x-ratelimit-limit-requests"], raw.headers["x-ratelimit-remaining-requests"]) == requests
    assert (raw.headers["x-ratelimit-limit-tokens"], raw.headers["x-ratelimit-remaining-tokens"]) == ("1000", "983")
    client.chat.completions.create(model="m", messages=QUESTION)
    with pytest.raises(sdk_of(client).RateLimitError, match=r"requests per minute \(RPM\): Limit 2, Used 2") as raised:
        client.chat.completions.create(model="m", messages=QUESTION)
    assert 58 <= int(raised.value.response.headers["retry-after"]) <= 60
    state = fake.state()
    assert state["answered"] == 2
    assert [violation["dimension"] for violation in state["violations"]] == ["requests_per_minute"]


def test_limits_are_kept_per_key_and_model(fake: FakeProvider) -> None:
    fake.configure(limits=[{"api_key": "key-1", "model": "small", "requests_per_minute": 1}])
    one, two = openai_client(fake), openai_client(fake).with_options(api_key="key-2")
    for client, model in ((one, "small"), (one, "large"), (one, "large"), (two, "small"), (two, "small")):
        client.chat.completions.create(model=model, messages=QUESTION)
    with pytest.raises(openai.RateLimitError):
        one.chat.completions.create(model="small", messages=QUESTION)


def test_a_violation_can_be_recorded_without_a_refusal(fake: FakeProvider) -> None:
    fake.configure(limits=[{"requests_per_minute": 1}], refuse=False)
    for _ in range(3):
        openai_client(fake).chat.completions.create(model="m", messages=QUESTION)
    state = fake.state()
    assert state["answered"] == 3
    assert {violation["window"] for violation in state["violations"]} == {"rolling", "clock", "bucket"}


@pytest.mark.parametrize(("count_faults", "answered"), [(False, True), (True, False)])
def test_whether_a_fault_uses_up_a_limit_can_be_chosen(fake: FakeProvider, count_faults: bool, answered: bool) -> None:
    fake.configure(limits=[{"requests_per_minute": 1}], count_faults=count_faults)
    fake.add_fault("500")
    client = openai_client(fake)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=QUESTION)
    if answered:
        client.chat.completions.create(model="m", messages=QUESTION)
    else:
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="m", messages=QUESTION)


def test_faults_can_be_meant_for_a_key_and_a_number_of_times(fake: FakeProvider) -> None:
    fake.add_fault("500", api_key="key-2", times=2)
    one, two = openai_client(fake), openai_client(fake).with_options(api_key="key-2")
    one.chat.completions.create(model="m", messages=QUESTION)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            two.chat.completions.create(model="m", messages=QUESTION)
    two.chat.completions.create(model="m", messages=QUESTION)


def test_a_request_can_ask_for_its_own_fault(fake: FakeProvider) -> None:
    client = openai_client(fake)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=QUESTION, user="fault:503")
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m+fault:reset", messages=QUESTION)


def test_a_fault_nobody_knows_is_refused(fake: FakeProvider) -> None:
    with pytest.raises(ValueError, match="no such fault: 'hangs'"):
        fake.add_fault("hangs")
    with pytest.raises(ValueError, match="answr"):
        fake.configure(answr="typo")


def test_malformed_requests_and_keys_are_refused(fake: FakeProvider) -> None:
    client = openai_client(fake)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="m", messages=[])
    fake.configure(api_keys=["key-9"])
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="m", messages=QUESTION)
    assert fake.requests() == []


def test_a_process_of_its_own_serves_many_connections_at_once() -> None:
    with FakeProcess(answer="yes", latency_s=0.2) as fake, ThreadPoolExecutor(64) as pool:
        client = openai.OpenAI(base_url=fake.openai_url, api_key="key-1", max_retries=0, timeout=20)
        client.models.list()

        def ask(_: int) -> str | None:
            return client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content

        started_s = time.monotonic()
        assert list(pool.map(ask, range(128))) == ["yes"] * 128
        # One after the other, the waiting alone would take 25.6 s.
        assert time.monotonic() - started_s < 10
        assert fake.state()["answered"] == 128


def test_the_process_ends_with_its_parent() -> None:
    starts_a_fake_and_ends = (
        "import os, sys\n"
        "from tests.fakes import FakeProcess\n"
        "sys.stdout.write(str(FakeProcess().pid))\n"
        "sys.stdout.flush()\n"
        "os._exit(0)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", starts_a_fake_and_ends],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    gone_by_s = time.monotonic() + 5
    while is_running(int(ended.stdout)):
        assert time.monotonic() < gone_by_s, "the fake provider outlived its parent"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
