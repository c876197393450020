"""What the official SDKs send comes through unharmed, and so does what they get back."""

import json
from typing import Any

import groq
import openai
import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
JSON_SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}}


def clients(chat: ChatServer) -> list[Any]:
    return [chat.openai(), chat.groq()]


def test_tools_are_called_whole_and_streamed(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    for client in clients(chat):
        asked: dict[str, Any] = {"model": "small", "messages": HELLO, "tools": TOOLS, "tool_choice": "auto"}
        whole = client.chat.completions.create(**asked)
        [call] = whole.choices[0].message.tool_calls
        assert call.function.name == "weather"
        assert "city" in json.loads(call.function.arguments)
        assert whole.choices[0].finish_reason == "tool_calls"
        assert whole.choices[0].message.content is None

        chunks = list(client.chat.completions.create(**asked, seed=1, stream=True))
        parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or []]
        assert parts[0].id == call.id
        assert parts[0].function.name == "weather"
        assert "".join(part.function.arguments or "" for part in parts) == call.function.arguments
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

        history = [
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
            {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"},
        ]
        answer = client.chat.completions.create(**{**asked, "messages": history})
        assert answer.choices[0].message.content == "Echo: 22 degrees"
        assert fake.last_body()["messages"][1:] == history[1:]
        assert fake.last_body()["tools"] == TOOLS


def test_json_is_given_in_the_form_that_was_asked_for(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    for seed, client in enumerate(clients(chat)):
        for response_format, keys in ((JSON_SCHEMA, {"name", "age"}), ({"type": "json_object"}, {"echo", "choice"})):
            asked: dict[str, Any] = {"model": "small", "messages": HELLO, "response_format": response_format}
            whole = client.chat.completions.create(**asked, seed=seed)
            assert json.loads(whole.choices[0].message.content).keys() == keys
            assert fake.last_body()["response_format"] == response_format
            streamed = client.chat.completions.create(**asked, seed=10 + seed, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
            assert text == whole.choices[0].message.content


def test_sampling_fields_arrive_and_all_choices_come_back(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    fields: dict[str, Any] = {
        "n": 3,
        "seed": 7,
        "stop": ["zzz"],
        "logprobs": True,
        "top_logprobs": 2,
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "logit_bias": {"1": 5},
        "max_completion_tokens": 50,
        "user": "u-1",
        "parallel_tool_calls": False,
        "service_tier": "auto",
    }
    whole = chat.openai().chat.completions.create(model="small", messages=HELLO, **fields)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.choices}) == 3
    logprobs = whole.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content[0].top_logprobs) == 2
    sent = {name: value for name, value in fields.items() if name != "max_completion_tokens"} | {"max_tokens": 50}
    assert {name: fake.last_body()[name] for name in sent} == sent

    fields["seed"] = 8
    chunks = list(chat.openai().chat.completions.create(model="small", messages=HELLO, stream=True, **fields))
    texts = dict.fromkeys(range(3), "")
    tokens = ""
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.index == 0 and choice.logprobs and choice.logprobs.content:
                tokens += "".join(entry.token for entry in choice.logprobs.content)
    assert list(texts.values()) == [choice.message.content for choice in whole.choices]
    assert tokens == texts[0]


def test_multi_part_content_roles_and_names_arrive_as_they_are(chat: ChatServer, fake: FakeProvider) -> None:
    messages: list[Any] = [
        {"role": "developer", "content": "Be brief.", "name": "dev"},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "from_the_future", "x": [1, None, {"y": 1.0}]},
            ],
        },
    ]
    for client in clients(chat):
        client.chat.completions.create(model="small", messages=messages, seed=id(client) % 1000)
        assert fake.last_body()["messages"] == messages


@pytest.mark.parametrize("adapter", ["gateway", "groq", "huggingface"])
def test_fields_that_nobody_knows_pass_both_ways_through_every_adapter(
    aws: Aws, fake: FakeProvider, adapter: str
) -> None:
    url = {"gateway": fake.openai_url, "groq": fake.groq_url, "huggingface": fake.huggingface_url}[adapter]
    allowed = ["future", "null_field"]
    aws.set_credentials(gateway(fake, "one") | {"provider": adapter, "base_url": url, "allowed_fields": allowed})
    odd: dict[str, Any] = {"future": {"a": [1, 2.5, None, "ü\u2028"], "B": {}}}
    fake.configure(answer="Hello there.", extra_fields={"body": odd, "choice": odd, "message": odd, "usage": odd})
    sent: dict[str, Any] = {
        "model": "small",
        "messages": [{"role": "user", "content": "Say hello.", **odd}],
        "metadata": {"sluice_task": "t", "sluice_user": "u", "sluice_conversation_id": "c", "trace": "abc"},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": None}, **odd}, **odd}],
        "tool_choice": "none",
        "null_field": None,
        **odd,
    }
    with serving(aws) as chat:
        body = chat.post(sent).json()
        arrived = fake.last_body()
        assert arrived.pop("stream", False) is False
        assert arrived == sent | {"metadata": {"trace": "abc"}}
        for part in (body, body["choices"][0], body["choices"][0]["message"], body["usage"]):
            assert odd.items() <= part.items()
        assert body["choices"][0]["message"]["content"] == "Hello there."

        sent["metadata"] = {"sluice_user": "u"}
        answer = chat.post(sent | {"stream": True, "seed": 1})
        events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        arrived = fake.last_body()
        assert arrived.pop("stream_options") == {"include_usage": True}
        assert arrived == {name: value for name, value in sent.items() if name != "metadata"} | {
            "stream": True,
            "seed": 1,
        }
        for event in events:
            assert odd.items() <= event.items()
            assert odd.items() <= event["choices"][0].items()
            assert odd.items() <= event["choices"][0]["delta"].items()
        assert answer.text.endswith("data: [DONE]\n\n")


def test_the_usage_chunk_comes_only_when_asked_for(chat: ChatServer, fake: FakeProvider) -> None:
    client = chat.openai()
    for asked, seed in (({}, 1), ({"stream_options": {"include_usage": False}}, 2), ({"stream_options": {}}, 3)):
        chunks = list(
            client.chat.completions.create(model="small", messages=HELLO, stream=True, seed=seed, extra_body=asked)
        )
        assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    wanted = list(
        client.chat.completions.create(
            model="small", messages=HELLO, stream=True, seed=4, stream_options={"include_usage": True}
        )
    )
    assert [len(chunk.choices) for chunk in wanted].count(0) == 1
    assert not wanted[-1].choices
    assert wanted[-1].usage is not None
    assert all(chunk.usage is None for chunk in wanted[:-1])
    counted = chat.counted()["deployment"]
    assert counted["tokens_per_minute"] == 4 * wanted[-1].usage.total_tokens


def test_the_models_that_a_tenant_may_use_are_listed_after_auto(aws: Aws, fake: FakeProvider) -> None:
    models = {"small": model(aliases=["little"]), "large": model("smart"), "guard": model(serves=[])}
    aws.set_credentials(gateway(fake, "one", models=models))
    with serving(aws) as chat:
        narrow = chat.tenant("narrow", allowed_models=["little"])
        assert [each.id for each in chat.openai().models.list()] == ["auto", "small", "large", "guard"]
        assert [each.id for each in chat.openai(narrow).models.list()] == ["auto", "small"]
        assert chat.openai(narrow).models.retrieve("auto").owned_by == "sluice"
        assert chat.openai(narrow).models.retrieve("little").id == "small"
        with pytest.raises(openai.NotFoundError) as raised:
            chat.openai(narrow).models.retrieve("large")
        assert raised.value.code == "model_not_found"
        for name, allowed, listed in (("idle", "gone", []), ("guarded", "guard", ["guard"])):
            client = chat.openai(chat.tenant(name, allowed_models=[allowed]))
            assert [each.id for each in client.models.list()] == listed
            with pytest.raises(openai.NotFoundError) as raised:
                client.models.retrieve("auto")
            assert str(raised.value.request_id).startswith("req_")
            with pytest.raises(openai.PermissionDeniedError, match="auto chooses from"):
                client.chat.completions.create(model="auto", messages=HELLO)
        assert str(chat.openai().models.list()._request_id).startswith("req_")


def test_the_sdks_raise_their_own_class_for_each_refusal(aws: Aws, fake: FakeProvider) -> None:
    small = model(limits={"tokens_per_minute": 1000})
    # The other stands in for the small one, and has no more to give.
    aws.set_credentials(gateway(fake, "one", models={"small": small, "other": small}))
    with serving(aws) as chat:
        once = chat.key("acme", limits={"requests_per_minute": 1})
        narrow = chat.tenant("narrow", allowed_models=["gone"])
        poor = chat.tenant("poor", budget_usd_per_month="0.000001")
        assert chat.post({"model": "other", "messages": HELLO}, api_key=once).status_code == 200
        cases: list[tuple[str, dict[str, Any], str, str | None, str | None]] = [
            (chat.api_key, {"max_tokens": -1}, "BadRequestError", "max_tokens", "invalid_request"),
            (chat.api_key, {"max_tokens": 5000}, "BadRequestError", "max_tokens", "request_exceeds_limit"),
            ("sl-nobody-" + "x" * 43, {}, "AuthenticationError", None, "invalid_api_key"),
            (narrow, {}, "PermissionDeniedError", "model", "model_not_allowed"),
            (chat.api_key, {"model": "nobody"}, "NotFoundError", "model", "model_not_found"),
            (once, {"model": "other"}, "RateLimitError", None, "rate_limit_exceeded"),
            (poor, {"model": "other"}, "RateLimitError", None, "insufficient_quota"),
        ]
        for key, fields, name, param, code in cases:
            asked = {"model": "small", "messages": HELLO} | fields
            with pytest.raises(getattr(openai, name)) as raised:
                chat.openai(key).chat.completions.create(**asked)
            assert raised.value.param == param, (name, raised.value.body)
            assert raised.value.code == code
            assert str(raised.value.request_id).startswith("req_")
            with pytest.raises(getattr(openai, name)):
                chat.openai(key).chat.completions.create(**asked, stream=True)
            with pytest.raises(getattr(groq, name)) as from_groq:
                chat.groq(key).chat.completions.create(**asked)
            assert from_groq.value.body["error"]["code"] == code
        fake.add_fault("401", times=None)
        with pytest.raises(openai.InternalServerError) as down:
            chat.openai().chat.completions.create(model="other", messages=HELLO, seed=1)
        assert down.value.status_code == 503
        assert down.value.code == "no_provider_available"
        assert "one#other" in down.value.message
