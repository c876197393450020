"""The adapters with their real SDKs against the fake provider: what goes out and what comes back."""

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sluice.errors import ProviderAuthenticationError, ProviderRejectedError
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.groq import GroqProvider
from sluice.providers.openai_compatible import OpenAICompatibleProvider
from tests.adapters import ADAPTERS, API_KEY, Json, chat, provider_for
from tests.fakes import FakeProvider

# Those whose bytes are OpenAI's; what others make of a request is in tests of their own.
OPENAI = [name for name in ADAPTERS if name not in ("gemini", "anthropic", "bedrock")]


of_openai = pytest.mark.parametrize("adapter", OPENAI)
# Every field that OpenAI documents for a chat, and some that nobody does, with nulls, odd names and odd numbers.
EVERYTHING: Json = {
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Grüße 👋", "cache_control": {"type": "ephemeral", "ttl": None}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "4", "X-Unknown": {"Deep": [None, 1.0, {"a-b": None}]}},
    ],
    "max_tokens": 7,
    "n": 2,
    "temperature": 0.0,
    "top_p": 0.5,
    "seed": 12345678901234567890,
    "stop": ["END", "\n\n"],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 2,
    "frequency_penalty": None,
    "presence_penalty": -0.25,
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {"type": "object", "properties": {"a": {"type": ["string", "null"], "default": None}}},
        },
    },
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"const": None}}}},
        }
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "user": "caller-1",
    "metadata": {"purpose": "test"},
    "service_tier": None,
    "X-Vendor": {"Nested-Key": [{"deeper": None}, [], {}, 1e-9]},
}
# What is null and documented says nothing, and some providers refuse it.
SENT = {name: value for name, value in EVERYTHING.items() if value is not None}
ALLOWED = frozenset({"X-Vendor", "messages.cache_control"})
EXTRA: dict[str, Json] = {
    "body": {"X-Body": {"Mixed-Case": None, "list": [None, {"a b": 1.5}]}, "service_tier": "on_demand"},
    "choice": {"X-Choice": None, "content_filter_results": {"hate": {"filtered": False}}},
    "message": {"X-Message": {"Reasoning-Text": None}, "reasoning_content": "because", "annotations": []},
    "usage": {"X-Usage": 1.5, "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None}},
}


@of_openai
def test_every_field_of_a_request_arrives_unharmed(adapter: str, fake: FakeProvider) -> None:
    provider_for(adapter, fake, allowed_fields=ALLOWED).complete(chat(**EVERYTHING), "the-model", 5)
    assert json.loads(fake.requests()[-1]["raw"]) == SENT | {"model": "the-model"}


@of_openai
def test_marks_for_a_cache_and_thoughts_are_left_out_for_who_does_not_take_them(
    adapter: str, fake: FakeProvider
) -> None:
    thought = {"type": "thinking", "thinking": "So.", "signature": "s"}
    said = {"role": "assistant", "content": "Four.", "thinking_blocks": [thought], "reasoning_content": "So."}
    messages = [*EVERYTHING["messages"][:2], said, {"role": "user", "content": "And?"}]
    tools = [{**EVERYTHING["tools"][0], "cache_control": {"type": "ephemeral"}}]
    provider_for(adapter, fake).complete(chat(messages=messages, tools=tools), "m", 5)
    sent = fake.last_body()
    assert "cache_control" not in json.dumps(sent)
    assert sent["messages"][2] == {"role": "assistant", "content": "Four."}
    assert sent["tools"] == EVERYTHING["tools"]


@of_openai
def test_every_field_of_a_streamed_request_arrives_unharmed(adapter: str, fake: FakeProvider) -> None:
    request = chat(**EVERYTHING, stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    list(provider_for(adapter, fake, allowed_fields=ALLOWED).stream(request, "the-model", 5))
    assert fake.last_body() == SENT | {
        "model": "the-model",
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
    }


@of_openai
def test_every_field_of_an_answer_comes_back_unharmed(adapter: str, fake: FakeProvider) -> None:
    fake.configure(extra_fields=EXTRA)
    body = provider_for(adapter, fake).complete(chat(n=2, logprobs=True, top_logprobs=1), "m", 5).chat.body
    assert {name: body[name] for name in EXTRA["body"]} == EXTRA["body"]
    assert "service_tier" in body
    assert "SERVICE_TIER" not in body
    assert len(body["choices"]) == 2
    for choice in body["choices"]:
        assert choice.items() >= EXTRA["choice"].items()
        assert choice["message"].items() >= EXTRA["message"].items()
        assert set(choice["message"]) == {"role", "content", *EXTRA["message"]}
        assert [entry["token"] for entry in choice["logprobs"]["content"]][-1] == " two?"
    assert body["usage"].items() >= EXTRA["usage"].items()
    known = {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}
    assert set(body) - {"x_groq"} == known | set(EXTRA["body"])


@of_openai
def test_every_field_of_a_streamed_answer_comes_back_unharmed(adapter: str, fake: FakeProvider) -> None:
    fake.configure(extra_fields=EXTRA)
    chunks = [chunk.body for chunk in provider_for(adapter, fake).stream(chat(stream=True), "m", 5)]
    for body in chunks:
        assert body.items() >= EXTRA["body"].items()
        for choice in body["choices"]:
            assert choice.items() >= EXTRA["choice"].items()
            assert choice["delta"].items() >= EXTRA["message"].items()
            assert set(choice["delta"]) - {"role", "content"} == set(EXTRA["message"])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"].items() >= EXTRA["usage"].items()


def test_whole_and_streamed_answers_say_the_same(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake)
    whole = provider.complete(chat(), "m", 5).chat
    chunks = list(provider.stream(chat(stream=True), "m", 5))
    assert whole.texts == ["Echo: What is two and two?"]
    assert "".join(text for chunk in chunks for _, text in chunk.deltas) == whole.texts[0]
    assert whole.usage is not None
    assert [chunk.usage for chunk in chunks if chunk.usage][-1] == whole.usage


def test_tool_calls_come_back_whole_and_streamed(adapter: str, fake: FakeProvider) -> None:
    function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    request = chat(tools=[{"type": "function", "function": function}])
    provider = provider_for(adapter, fake)
    message = provider.complete(request, "m", 5).chat.body["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "x"}'}
    deltas = [
        call
        for chunk in provider.stream(request, "m", 5)
        for choice in chunk.body["choices"]
        for call in choice["delta"].get("tool_calls", [])
    ]
    assert "".join(call["function"]["arguments"] for call in deltas) == '{"city": "x"}'


def test_characters_that_the_network_cut_in_two_are_whole(adapter: str, fake: FakeProvider) -> None:
    fake.configure(answer="Grüße 👋 日本\u2028語")
    fake.add_fault("drip", times=2, delay_s=0)
    provider = provider_for(adapter, fake)
    assert provider.complete(chat(), "m", 5).chat.texts == ["Grüße 👋 日本\u2028語"]
    text = "".join(text for chunk in provider.stream(chat(), "m", 5) for _, text in chunk.deltas)
    assert text == "Grüße 👋 日本\u2028語"


@of_openai
def test_comments_crlf_and_data_over_several_lines_are_read(adapter: str, fake: FakeProvider) -> None:
    first = '{"choices": [{"index": 0,\r\ndata: "delta": {"content": "a"}}]}'
    second = '{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}'
    fake.add_fault(
        "raw", message=f": ping\r\n\r\nevent: message\r\ndata: {first}\r\n\r\nid: 7\r\ndata:{second}\r\n\r\n"
    )
    chunks = list(provider_for(adapter, fake).stream(chat(), "m", 5))
    assert [chunk.deltas for chunk in chunks] == [[(0, "a")], []]


@pytest.mark.parametrize("adapter", [name for name in ADAPTERS if name != "bedrock"])
def test_a_stream_without_done_is_whole_once_every_choice_has_ended(adapter: str, fake: FakeProvider) -> None:
    ended = 'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
    fake.add_fault("raw", message=ended)
    assert len(list(provider_for(adapter, fake).stream(chat(), "m", 5))) == 1


def test_a_server_that_goes_on_after_done_costs_no_time(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake)
    provider.complete(chat(), "m", 5)  # the first call imports the SDK
    fake.add_fault("hang_after_done")
    started_s = time.monotonic()
    stream = provider.stream(chat(), "m", 30)
    assert "".join(text for chunk in stream for _, text in chunk.deltas) == "Echo: What is two and two?"
    assert time.monotonic() - started_s < 5


@of_openai
def test_usage_is_asked_for_on_a_stream_and_not_otherwise(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake)
    list(provider.stream(chat(), "m", 5))
    assert fake.last_body()["stream_options"] == {"include_usage": True}
    provider.complete(chat(stream=True, stream_options={"include_usage": True}), "m", 5)
    assert fake.last_body().keys().isdisjoint({"stream", "stream_options"})


@of_openai
def test_stream_options_are_left_out_where_they_are_unsupported(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake, unsupported_fields=frozenset({"stream_options"}))
    list(provider.stream(chat(stream_options={"include_usage": True}), "m", 5))
    assert "stream_options" not in fake.last_body()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_unsupported_field_is_refused_by_name_and_nothing_is_sent(
    adapter: str, fake: FakeProvider, streamed: bool
) -> None:
    provider = provider_for(adapter, fake, unsupported_fields=frozenset({"logprobs", "seed"}))
    with pytest.raises(ProviderRejectedError, match="'logprobs'") as raised:
        (provider.stream if streamed else provider.complete)(chat(logprobs=True), "m", 5)
    assert raised.value.status == 400
    assert not raised.value.was_sent
    assert fake.requests() == []
    provider.complete(chat(logprobs=None), "m", 5)
    assert "logprobs" not in fake.last_body()


@pytest.mark.parametrize("api_key", ["", "two\r\nlines-of-a-key", "schlüssel-0123"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_without_quoting_it(
    adapter: str, fake: FakeProvider, api_key: str
) -> None:
    made, url = ADAPTERS[adapter]
    with pytest.raises(ProviderAuthenticationError) as raised:
        made(ProviderConfig(adapter, "one", api_key, url(fake))).complete(chat(), "m", 5)
    assert not api_key or api_key not in str(raised.value)


@pytest.mark.parametrize("base_url", ["127.0.0.1:80/v1", "ftp://host/v1", "https:///v1"])
def test_a_base_url_that_is_none_is_refused_with_the_credential_named(adapter: str, base_url: str) -> None:
    with pytest.raises(ValueError, match="'one'"):
        ADAPTERS[adapter][0](ProviderConfig(adapter, "one", API_KEY, base_url))


def test_groqs_url_may_be_written_as_its_documentation_has_it(fake: FakeProvider) -> None:
    config = ProviderConfig("groq", "groq-1", API_KEY, fake.groq_url + "/openai/v1/")
    GroqProvider(config).complete(chat(), "m", 5)
    assert fake.requests()[-1]["path"] == "/openai/v1/chat/completions"


def test_a_query_in_the_base_url_stays_behind_the_path(fake: FakeProvider) -> None:
    config = ProviderConfig("azure", "azure-1", API_KEY, fake.openai_url + "/?api-version=1")
    with pytest.raises(ProviderRejectedError):
        # The fake knows no such path; what matters is where the question mark went.
        OpenAICompatibleProvider(config).complete(chat(model="m"), "fault:404", 5)
    assert fake.requests()[-1]["path"] == "/v1/chat/completions?api-version=1"


RATE_LIMITS = {"requests_per_minute": 30, "requests_per_day": 14_400, "tokens_per_minute": 6000}
SEEN = {
    "groq": RateLimitHeaders(
        {"requests_per_day": 14_400, "tokens_per_minute": 6000}, {"requests_per_day": 14_399, "tokens_per_minute": 5983}
    ),
    # It may be anybody's server, so its row in the catalogue has to say what its headers speak of.
    "openai": RateLimitHeaders(),
    "huggingface": RateLimitHeaders(),
    "azure_openai": RateLimitHeaders(),
    "gemini": RateLimitHeaders(),
    "bedrock": RateLimitHeaders(),
    "anthropic": RateLimitHeaders(
        {"requests_per_minute": 30, "tokens_per_minute": 6000}, {"requests_per_minute": 29, "tokens_per_minute": 5983}
    ),
}


def test_rate_limit_headers_are_read_as_each_provider_means_them(adapter: str, fake: FakeProvider) -> None:
    fake.configure(limits=[RATE_LIMITS])
    provider = provider_for(adapter, fake)
    # 5 tokens for 20 characters, 3 for the message, 3 for the prompt, 6 words of answer.
    assert provider.complete(chat(), "m", 5).rate_limits == SEEN[adapter]
    fake.configure(limits=[RATE_LIMITS])
    assert provider.stream(chat(), "m", 5).rate_limits == SEEN[adapter]


@pytest.mark.parametrize(
    ("named", "capacities", "remaining"),
    [
        ({("tokens", "tokens_per_minute")}, {"tokens_per_minute": 6000}, {"tokens_per_minute": 5983}),
        ({("requests", "requests_per_minute")}, {"requests_per_minute": 30}, {"requests_per_minute": 29}),
    ],
)
def test_headers_are_read_as_the_catalogue_says(
    fake: FakeProvider, named: set[tuple[str, str]], capacities: dict[str, int], remaining: dict[str, int]
) -> None:
    fake.configure(limits=[RATE_LIMITS])
    provider = provider_for("openai", fake, rate_limit_headers=frozenset(named))
    assert provider.complete(chat(), "m", 5).rate_limits == RateLimitHeaders(capacities, remaining)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_a_call_logs_nothing(adapter: str, fake: FakeProvider, level: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(level)
    provider = provider_for(adapter, fake)
    provider.complete(chat(), "m", 5)
    list(provider.stream(chat(), "m", 5))
    assert [record.getMessage() for record in caplog.records] == []


def test_adapters_import_their_sdk_when_first_called() -> None:
    code = (
        "import sys\n"
        "from sluice.providers import anthropic, bedrock, groq, huggingface, openai_compatible\n"
        "from sluice.providers.base import ProviderConfig\n"
        "config = ProviderConfig('p', 'p-1', 'key-0123', 'http://127.0.0.1:1')\n"
        "made = [groq.GroqProvider(config), huggingface.HuggingFaceProvider(config)]\n"
        "made += [openai_compatible.OpenAICompatibleProvider(config), anthropic.AnthropicProvider(config)]\n"
        "made.append(bedrock.BedrockProvider(config))\n"
        "known = {'groq', 'huggingface_hub', 'httpx', 'httpx2', 'httpcore', 'openai', 'boto3', 'botocore.session'}\n"
        "heavy = known & sys.modules.keys()\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)\n"
    )
    layer = Path(__file__).parents[3] / "layers" / "sluice"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=layer, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
