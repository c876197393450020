"""Azure OpenAI and Gemini: OpenAI's protocol, with what each has of its own."""

import json
from typing import Any

import pytest

from sluice.chat import ChatRequest, Usage
from sluice.chat_stream import assemble
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderAuthenticationError, ProviderError, ProviderUnsuitedError
from sluice.providers.azure_openai import AzureOpenAIProvider
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.gemini import GeminiProvider
from tests.fakes import FakeProvider

type Json = dict[str, Any]

API_KEY = "secret-key-0123456789"
PROMPT = "the patient is called Rumpelstiltskin"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
SIGNED = {"google": {"thought_signature": "c2lnbmVkIGJ5IEdlbWluaQ=="}}
UNSIGNED = {"google": {"thought_signature": "skip_thought_signature_validator"}}


def ask(provider: Provider, *, streamed: bool = False, **fields: Any) -> Json:
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], **fields}
    request = ChatRequest.model_validate(body)
    if streamed:
        return assemble(provider.stream(request, "my model", 5))
    return provider.complete(request, "my model", 5).chat.body


@pytest.mark.parametrize(
    ("base", "version", "path"),
    [
        ("", None, "/openai/v1/chat/completions"),
        ("/", None, "/openai/v1/chat/completions"),
        ("/openai/v1/", None, "/openai/v1/chat/completions"),
        ("", "preview", "/openai/v1/chat/completions?api-version=preview"),
        ("", "2024-10-21", "/openai/deployments/my%20model/chat/completions?api-version=2024-10-21"),
        ("/openai", "2024-10-21", "/openai/deployments/my%20model/chat/completions?api-version=2024-10-21"),
        ("/openai/v1", "2024-10-21", "/openai/deployments/my%20model/chat/completions?api-version=2024-10-21"),
        ("/openai/deployments/one", "2024-10-21", "/openai/deployments/one/chat/completions?api-version=2024-10-21"),
        ("/openai/deployments/one?api-version=1", None, "/openai/deployments/one/chat/completions?api-version=1"),
        ("?api-version=1", None, "/openai/v1/chat/completions?api-version=1"),
    ],
)
def test_azure_is_asked_where_its_api_is(fake: FakeProvider, base: str, version: str | None, path: str) -> None:
    config = ProviderConfig("azure_openai", "az-1", API_KEY, fake.azure_url + base, api_version=version)
    assert ask(AzureOpenAIProvider(config))["choices"][0]["message"]["content"] == f"Echo: {PROMPT}"
    [request] = fake.requests()
    assert request["path"] == "/azure" + path
    assert request["api_key"] == API_KEY
    assert "authorization" not in request["headers"]


def test_azure_makes_embeddings_on_the_same_paths(fake: FakeProvider) -> None:
    config = ProviderConfig("azure_openai", "az-1", API_KEY, fake.azure_url, api_version="2024-10-21")
    found = AzureOpenAIProvider(config).embed(TextBatch(texts=("a", "b"), dimensions=8), "small", 5)
    assert len(found.vectors) == 2
    assert fake.requests()[-1]["path"] == "/azure/openai/deployments/small/embeddings?api-version=2024-10-21"


def gemini(fake: FakeProvider) -> GeminiProvider:
    allowed = frozenset({"messages.extra_content"})
    return GeminiProvider(ProviderConfig("gemini", "g-1", API_KEY, fake.gemini_url + "/", allowed_fields=allowed))


@pytest.mark.parametrize("streamed", [False, True])
def test_gemini_gets_its_own_signatures_back(fake: FakeProvider, streamed: bool) -> None:
    question = {"role": "user", "content": "Is it raining?"}
    first = ask(gemini(fake), streamed=streamed, messages=[question], tools=TOOLS)["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    [call] = first["message"]["tool_calls"]
    assert (call["extra_content"], call["function"]["name"]) == (SIGNED, "weather")
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Yes."}
    second = ask(gemini(fake), streamed=streamed, messages=[question, first["message"], result], tools=TOOLS)
    assert second["choices"][0]["message"]["content"] == "Echo: Yes."
    assert fake.last_body()["messages"][1]["tool_calls"][0]["extra_content"] == SIGNED


def test_calls_that_another_model_made_are_sent_to_gemini_as_unsigned(fake: FakeProvider) -> None:
    calls = [{"id": str(n), "type": "function", "function": {"name": "weather", "arguments": "{}"}} for n in (1, 2)]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "Yes."} for call in calls]
    thought = {
        "thinking_blocks": [{"type": "thinking", "thinking": "So.", "signature": "s"}],
        "reasoning_content": "So.",
    }
    said = {"role": "assistant", "content": None, "tool_calls": calls, **thought}
    ask(gemini(fake), messages=[{"role": "user", "content": "Is it raining?"}, said, *results], tools=TOOLS)
    sent = fake.last_body()["messages"][1]
    assert sent.keys() == {"role", "content", "tool_calls"}
    assert [call.get("extra_content") for call in sent["tool_calls"]] == [UNSIGNED, None]


@pytest.mark.parametrize("streamed", [False, True])
def test_gemini_lists_its_errors_and_a_bad_key_is_a_bad_request_there(fake: FakeProvider, streamed: bool) -> None:
    said = [{"error": {"code": 400, "message": f"API key not valid: {API_KEY}.", "status": "INVALID_ARGUMENT"}}]
    fake.add_raw(json.dumps(said).encode(), raw_status=400)
    with pytest.raises(ProviderAuthenticationError) as raised:
        ask(gemini(fake), streamed=streamed)
    assert API_KEY not in str(raised.value)
    field = [
        {"error": {"code": 400, "message": "Unknown name \"seeds\" at '': Cannot find field.", "status": "INVALID"}}
    ]
    fake.add_raw(json.dumps(field).encode(), raw_status=400)
    with pytest.raises(ProviderError) as refused:
        ask(gemini(fake), streamed=streamed)
    assert type(refused.value) is ProviderUnsuitedError


def test_a_stream_of_gemini_s_counts_where_it_says_so_last(fake: FakeProvider) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}], "usage": usage},
        {"choices": [{"index": 0, "delta": {"content": "lo."}}]},
        {
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
            "usage": usage | {"completion_tokens": 2, "total_tokens": 6},
        },
    ]
    fake.add_raw(b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks))
    answer = ask(gemini(fake), streamed=True)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert Usage.from_body(answer) == Usage(4, 2)
