"""Amazon Bedrock's adapter with the real boto3 against a fake that speaks Converse and AWS's event streams."""

import base64
import json
from typing import Any

import pytest

from sluice.chat import ChatRequest, Usage
from sluice.chat_stream import assemble
from sluice.embeddings.vectors import TextBatch
from sluice.errors import (
    ProviderAuthenticationError,
    ProviderContextError,
    ProviderError,
    ProviderModelError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderSpoiledError,
    ProviderUnavailableError,
    ProviderUnsuitedError,
)
from sluice.providers.base import ProviderConfig
from sluice.providers.bedrock import BedrockProvider
from tests.chat_server import serving
from tests.conftest import Aws
from tests.fakes import FakeProvider
from tests.fakes.converse import frame

type Json = dict[str, Any]

PROMPT = "the patient is called Rumpelstiltskin"
MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:sts::123456789012:assumed-role/chat/chat"
ALLOWED = frozenset(
    ("thinking", "top_k", *(f"messages.{name}" for name in ("document", "tool_image", "cache_control")))
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}]
PNG = base64.b64encode(b"a picture").decode()


def provider_for(fake: FakeProvider, **config: Any) -> BedrockProvider:
    known = {"adapter": "bedrock", "allowed_fields": ALLOWED, "region": "eu-west-1", **config}
    return BedrockProvider(ProviderConfig("bedrock", "br-1", "none", fake.bedrock_url, **known))


def ask(provider: BedrockProvider, *, streamed: bool = False, **fields: Any) -> Json:
    """The answer as one body."""
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], **fields}
    request = ChatRequest.model_validate(body)
    if streamed:
        return assemble(provider.stream(request, MODEL, 5))
    return provider.complete(request, MODEL, 5).chat.body


def error_of(provider: BedrockProvider, *, streamed: bool = False, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        ask(provider, streamed=streamed, **fields)
    for secret in (PROMPT, ARN, "123456789012"):
        assert secret not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("streamed", [False, True])
def test_it_is_asked_in_its_region_with_the_role_s_signature(fake: FakeProvider, streamed: bool) -> None:
    answer = ask(
        provider_for(fake),
        streamed=streamed,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
        max_tokens=50,
        temperature=1,
        top_k=5,
        stop=["END"],
    )
    assert answer["choices"][0]["message"]["content"] == f"Echo: {PROMPT}"
    assert (answer["model"], answer["choices"][0]["finish_reason"]) == (MODEL, "stop")
    assert answer["id"].startswith("chatcmpl-")
    assert Usage.from_body(answer) == Usage(answer["usage"]["prompt_tokens"], 6)
    [request] = fake.requests()
    path = "/bedrock/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert request["path"] == path + ("-stream" if streamed else "")
    assert request["api_key"] == "fake-access-key-id"
    assert request["headers"]["x-amz-security-token"] == "fake-session-token"
    assert request["body"] == {
        "model": MODEL,
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
        "inferenceConfig": {"maxTokens": 50, "temperature": 1.0, "stopSequences": ["END"]},
        "additionalModelRequestFields": {"top_k": 5},
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_a_conversation_with_thoughts_and_tools_goes_round(fake: FakeProvider, streamed: bool) -> None:
    provider = provider_for(fake)
    fields: Json = {"tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    question = {"role": "user", "content": "Is it raining?"}
    first = ask(provider, streamed=streamed, messages=[question], **fields)["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    message = first["message"]
    assert message["reasoning_content"] == "They said: Is it raining?"
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "They said: Is it raining?", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    [call] = message["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "x"}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    content = [{"type": "text", "text": "Yes."}, image]
    result = {"role": "tool", "tool_call_id": call["id"], "content": content, "is_error": True}
    ask(provider, streamed=streamed, messages=[question, message, result], **fields)
    said, answered = fake.last_body()["messages"][1:]
    assert [next(iter(block)) for block in said["content"]] == ["reasoningContent", "reasoningContent", "toolUse"]
    assert answered["content"] == [
        {
            "toolResult": {
                "toolUseId": "toolu_0",
                "status": "error",
                "content": [{"text": "Yes."}, {"image": {"format": "png", "source": {"bytes": PNG}}}],
            }
        }
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_documents_and_marks_for_the_cache_arrive(fake: FakeProvider, streamed: bool) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": PNG}
    document = {"type": "document", "source": source, "title": "a/b.pdf", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [document, {"type": "text", "text": "Read."}]}]
    tools = [{**TOOLS[0], "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    answer = ask(provider_for(fake), streamed=streamed, messages=messages, tools=tools, tool_choice="required")
    body = fake.last_body()
    assert body["messages"][0]["content"] == [
        {"document": {"name": "a b pdf", "format": "pdf", "source": {"bytes": PNG}}},
        {"cachePoint": {"type": "default"}},
        {"text": "Read."},
    ]
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    counted = Usage.from_body(answer)
    assert counted is not None
    assert (counted.cached_prompt_tokens, counted.cache_write_tokens) == (7, 5)


def test_a_schema_is_held_to(fake: FakeProvider) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = ask(provider_for(fake), response_format=asked)
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"a": "x"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"tools": TOOLS, "tool_choice": "none"}, "tool_choice"),
        ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b"}}]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "a"}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_has_no_place_there_is_refused_by_name(fake: FakeProvider, fields: Json, named: str) -> None:
    error = error_of(provider_for(fake), **fields)
    assert type(error) is ProviderRejectedError
    assert named in error.message
    assert fake.requests() == []


ERRORS: list[tuple[int, str, str, type[ProviderError]]] = [
    (400, "ValidationException", "Input is too long for requested model.", ProviderContextError),
    (400, "ValidationException", "The provided model identifier is invalid.", ProviderModelError),
    (400, "ValidationException", "messages: at least one message is required", ProviderRejectedError),
    (
        403,
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID.",
        ProviderModelError,
    ),
    (
        403,
        "AccessDeniedException",
        f"User: {ARN} is not authorized to perform: bedrock:InvokeModel",
        ProviderModelError,
    ),
    (403, "UnrecognizedClientException", "The security token is invalid.", ProviderAuthenticationError),
    (403, "ExpiredTokenException", "The security token has expired", ProviderAuthenticationError),
    (404, "ResourceNotFoundException", "Could not resolve the model.", ProviderModelError),
    (408, "ModelTimeoutException", "Model has timed out.", ProviderUnavailableError),
    (424, "ModelErrorException", "The model failed.", ProviderUnavailableError),
    (429, "ThrottlingException", "Too many tokens, please wait before trying again.", ProviderRateLimitedError),
    (429, "ModelNotReadyException", "The model is not ready.", ProviderRateLimitedError),
    (500, "InternalServerException", "Oh.", ProviderUnavailableError),
    (503, "ServiceUnavailableException", "Later.", ProviderUnavailableError),
]


@pytest.mark.parametrize(("status", "code", "words", "expected"), ERRORS)
def test_each_error_is_what_it_says(
    fake: FakeProvider, status: int, code: str, words: str, expected: type[ProviderError]
) -> None:
    body = json.dumps({"message": f"{words} {PROMPT}"}).encode()
    fake.add_raw(body, raw_status=status, headers={"x-amzn-errortype": f"{code}:http://internal.amazon.com/"})
    error = error_of(provider_for(fake), streamed=status == 429)
    assert type(error) is expected
    assert error.status == status
    assert error.may_be_billed == (status == 408)


def events(*messages: tuple[str, Json]) -> bytes:
    return b"".join(frame(kind, json.dumps(body).encode()) for kind, body in messages)


START = ("messageStart", {"role": "assistant"})
TEXT = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello."}})
END = ("messageStop", {"stopReason": "end_turn"})
USAGE = ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("throttlingException", ProviderRateLimitedError),
        ("validationException", ProviderRejectedError),
        ("serviceUnavailableException", ProviderUnavailableError),
        ("modelStreamErrorException", ProviderUnavailableError),
        ("internalServerException", ProviderUnavailableError),
    ],
)
def test_an_exception_in_a_stream_is_what_it_says(fake: FakeProvider, kind: str, expected: type[ProviderError]) -> None:
    said = frame(kind, json.dumps({"message": "Oh."}).encode(), "exception")
    fake.add_raw(events(START) + said)
    assert type(error_of(provider_for(fake), streamed=True)) is expected
    fake.add_raw(events(START, TEXT) + said)
    assert type(error_of(provider_for(fake), streamed=True)) is ProviderProtocolError


def test_a_stream_that_breaks_within_a_frame_or_is_damaged_is_broken(fake: FakeProvider) -> None:
    whole = events(START, TEXT, END, USAGE)
    begun = len(events(START, TEXT))
    damaged = bytearray(whole)
    damaged[begun - 10] ^= 1
    for body, ends in ((whole[: begun - 3], True), (whole[: begun + 9], False), (bytes(damaged), True)):
        fake.add_raw(body, ends=ends)
        assert type(error_of(provider_for(fake), streamed=True)) is ProviderProtocolError
    fake.add_raw(whole, pieces=[1] * 200)
    assert ask(provider_for(fake), streamed=True)["choices"][0]["message"]["content"] == "Hello."


def test_a_stream_without_its_last_event_is_whole_and_not_counted(fake: FakeProvider) -> None:
    fake.add_raw(events(START, TEXT, END), ends=False)
    answer = ask(provider_for(fake), streamed=True)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert Usage.from_body(answer) is None


@pytest.mark.parametrize("usage", [{}, {"inputTokens": -1, "outputTokens": 2}, "many", None])
def test_counts_that_can_not_be_cost_nothing_but_the_counts(fake: FakeProvider, usage: Any) -> None:
    fake.add_raw(events(START, TEXT, END, ("metadata", {"usage": usage})))
    assert Usage.from_body(ask(provider_for(fake), streamed=True)) is None


def test_an_answer_that_the_model_spoiled_is_no_answer(fake: FakeProvider) -> None:
    for reason in ("malformed_model_output", "malformed_tool_use"):
        message = {"role": "assistant", "content": [{"text": "{"}]}
        fake.add_raw(json.dumps({"output": {"message": message}, "stopReason": reason}).encode())
        assert type(error_of(provider_for(fake))) is ProviderSpoiledError


@pytest.mark.parametrize("name", ["amazon.titan-embed-text-v2:0", "cohere.embed-v4:0"])
def test_embeddings_are_made_in_the_form_of_each_maker(fake: FakeProvider, name: str) -> None:
    texts = ("Grüße",) if "titan" in name else ("Grüße", "b")
    batch = TextBatch(texts=texts, dimensions=4, is_shortened=True, user="ada")
    found = provider_for(fake).embed(batch, name, 5)
    assert [len(vector) for vector in found.vectors] == [4] * len(texts)
    assert found.tokens == (5 if "titan" in name else None)
    body = fake.last_body()
    if "titan" in name:
        assert body == {"model": name, "inputText": "Grüße", "dimensions": 4}
    else:
        assert body == {"model": name, "texts": list(texts), "input_type": "search_document", "output_dimension": 4}


def test_who_makes_no_embeddings_or_takes_one_text_is_told_before_anything_is_sent(fake: FakeProvider) -> None:
    for name in ("amazon.titan-embed-text-v2:0", "meta.llama3-8b-instruct-v1:0"):
        with pytest.raises(ProviderRejectedError):
            provider_for(fake).embed(TextBatch(texts=("a", "b"), dimensions=4), name, 5)
    assert fake.requests() == []


def test_without_a_role_the_credential_is_refused(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    error = error_of(provider_for(fake))
    assert type(error) is ProviderAuthenticationError
    assert not error.was_sent


def test_the_gateway_asks_it_by_its_role(aws: Aws, fake: FakeProvider) -> None:
    models = {MODEL: {"tier": "fast", "aliases": ["claude"], "price": {"prompt_usd": 1, "completion_usd": 2}}}
    aws.set_credentials(
        {"provider": "bedrock", "alias": "br-1", "region": "eu-west-1", "base_url": fake.bedrock_url, "models": models}
    )
    with serving(aws) as chat:
        body: Json = {"model": "claude", "messages": [{"role": "user", "content": "Say hello."}]}
        assert chat.post(body).json()["choices"][0]["message"]["content"] == "Echo: Say hello."
        assert "Echo:" in chat.post(body | {"stream": True, "max_tokens": 9}).text
        refused = chat.post(body | {"seed": 1})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "seed")


def test_error_words_about_the_sdk_s_own_checks_quote_nothing(fake: FakeProvider) -> None:
    tools = [{"type": "function", "function": {"name": PROMPT * 3, "parameters": {}}}]
    error = error_of(provider_for(fake), tools=tools, stop=[""])
    assert isinstance(error, ProviderUnsuitedError | ProviderRejectedError)
