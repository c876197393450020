"""Requests of the Messages API as chats: there and back they are what they were, or they are refused by name."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.api.anthropic.chat_request import chat_request
from sluice.api.anthropic.request_models import MessageRequest
from sluice.api.envelope import to_json
from sluice.errors import InvalidRequestError
from sluice.validation.body import parse_body
from tests.anthropic_messages import messages_body

type Json = dict[str, Any]

HELLO: list[Json] = [{"role": "user", "content": "Hello"}]
CALLED: list[Json] = [
    *HELLO,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}]},
]


def to_chat(body: Json) -> Json:
    """The body of the chat that a request becomes."""
    request = chat_request(parse_body(to_json(body), MessageRequest))
    return request.model_dump(exclude_unset=True)


def refusal(**fields: Any) -> str:
    """What a request with these fields is refused for."""
    with pytest.raises(InvalidRequestError) as refused:
        to_chat({"model": "small", "max_tokens": 10, "messages": HELLO} | fields)
    assert refused.value.param is not None
    assert refused.value.param in refused.value.message
    return refused.value.param


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, values, max_size=3)
marks: Any = st.fixed_dictionaries(
    {}, optional={"cache_control": st.just({"type": "ephemeral"}) | st.just({"type": "ephemeral", "ttl": "1h"})}
)


def block(kind: str, fields: dict[str, Any], *, is_marked: bool = True) -> st.SearchStrategy[Json]:
    made = st.fixed_dictionaries({"type": st.just(kind), **fields})
    return st.builds(lambda block, mark: block | mark, made, marks) if is_marked else made


sources = st.fixed_dictionaries(
    {"type": st.just("base64"), "media_type": st.sampled_from(["image/png", "image/jpeg"]), "data": st.just("aGk=")}
) | st.fixed_dictionaries({"type": st.just("url"), "url": st.just("https://example.com/a.png")})
text_blocks = block("text", {"text": texts})
document_blocks = block("document", {"source": objects, "title": texts, "citations": st.just({"enabled": True})})
shown_blocks = text_blocks | block("image", {"source": sources}) | document_blocks
thoughts = st.lists(
    block("thinking", {"thinking": texts, "signature": st.text("abc", min_size=1)}, is_marked=False)
    | block("redacted_thinking", {"data": texts}, is_marked=False),
    max_size=2,
)
unsigned = st.lists(
    block("thinking", {"thinking": texts.filter(bool), "signature": st.just("")}, is_marked=False), max_size=1
)


@st.composite
def turns(draw: st.DrawFn) -> list[Json]:
    """Turns as they follow one another: questions, answers with calls, and the results of these."""
    messages: list[Json] = [{"role": "user", "content": draw(st.lists(shown_blocks, min_size=1, max_size=3))}]
    for turn in range(draw(st.integers(0, 3))):
        called = [
            {"type": "tool_use", "id": f"toolu_{turn}_{number}", "name": draw(names), "input": draw(objects)}
            | draw(marks)
            for number in range(draw(st.integers(0, 2)))
        ]
        said = draw(st.lists(text_blocks, min_size=0 if called else 1, max_size=2))
        messages.append({"role": "assistant", "content": [*draw(thoughts | unsigned), *said, *called]})
        results = [
            draw(
                block(
                    "tool_result", {"tool_use_id": st.just(call["id"]), "content": st.lists(shown_blocks, max_size=2)}
                )
            )
            | draw(st.sampled_from([{}, {"is_error": True}]))
            for call in called
        ]
        asked = draw(st.lists(shown_blocks, min_size=0 if results else 1, max_size=2))
        messages.append({"role": "user", "content": [*results, *asked]})
    return messages


tools = st.lists(
    st.builds(
        lambda tool, mark: tool | mark,
        st.fixed_dictionaries(
            {"name": names, "input_schema": objects}, optional={"description": texts, "strict": st.booleans()}
        ),
        marks,
    ),
    min_size=1,
    max_size=2,
)
choices: Any = st.builds(
    lambda choice, is_single: choice | ({"disable_parallel_tool_use": True} if is_single else {}),
    st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "none"}, {"type": "tool", "name": "run"}]),
    st.booleans(),
)
requests = st.fixed_dictionaries(
    {"model": names, "max_tokens": st.integers(1, 9999), "messages": turns()},
    optional={
        "system": st.lists(text_blocks, min_size=1, max_size=3),
        "tools": tools,
        "tool_choice": choices,
        "stop_sequences": st.lists(texts, min_size=1, max_size=3),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 100),
        "stream": st.just(True),
        "metadata": st.fixed_dictionaries({"user_id": texts}),
        "service_tier": st.just("standard_only"),
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 1024},
                {"type": "disabled"},
                {"type": "adaptive", "display": "omitted"},
            ]
        ),
        "cache_control": st.just({"type": "ephemeral"}),
        "output_config": st.fixed_dictionaries(
            {"effort": st.sampled_from(["low", "max"])},
            optional={"format": st.fixed_dictionaries({"type": st.just("json_schema"), "schema": objects})},
        ),
    },
)


def without_empty(body: Json) -> Json:
    """The request as it comes back: a content without blocks says what an empty text does."""
    for message in body["messages"]:
        for each in message["content"]:
            if each["type"] == "tool_result" and not each["content"]:
                each["content"] = [{"type": "text", "text": ""}]
    return body


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(requests)
def test_a_request_there_and_back_is_what_it_was(body: Json) -> None:
    assert messages_body(to_chat(body)) == without_empty(body)


def test_texts_are_texts_where_nothing_marks_them() -> None:
    chat = to_chat({"model": "m", "max_tokens": 1, "system": "Be short.", "messages": HELLO})
    assert chat["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}]
    blocks = [{"type": "text", "text": "Hello"}]
    chat = to_chat({"model": "m", "max_tokens": 1, "system": blocks, "messages": [{"role": "user", "content": blocks}]})
    assert [message["content"] for message in chat["messages"]] == ["Hello", "Hello"]


def test_results_of_tools_come_before_the_rest_of_their_message() -> None:
    content = [
        {"type": "text", "text": "Here:"},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "22 degrees"},
        {"type": "text", "text": "And now?"},
    ]
    chat = to_chat({"model": "m", "max_tokens": 1, "messages": [*CALLED, {"role": "user", "content": content}]})
    assert [message["role"] for message in chat["messages"]] == ["user", "assistant", "tool", "user"]
    assert [part["text"] for part in chat["messages"][3]["content"]] == ["Here:", "And now?"]


def test_calls_come_after_what_is_said_beside_them() -> None:
    content = [
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}},
        {"type": "text", "text": "A moment."},
    ]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]}
    chat = to_chat(
        {"model": "m", "max_tokens": 1, "messages": [*HELLO, {"role": "assistant", "content": content}, result]}
    )
    said = chat["messages"][1]
    assert said["content"] == "A moment."
    assert said["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Ulm"}'}
    assert chat["messages"][2] == {"role": "tool", "tool_call_id": "toolu_1", "content": ""}


def test_what_says_nothing_is_no_field() -> None:
    fields = {"stop_sequences": [], "tools": [], "system": "", "stream": False, "service_tier": "auto", "top_k": None}
    tools: Json = {"tools": [{"name": "run", "input_schema": {}, "type": "custom", "eager_input_streaming": True}]}
    plain = to_chat({"model": "m", "max_tokens": 1, "messages": HELLO})
    assert to_chat({"model": "m", "max_tokens": 1, "messages": HELLO} | fields) == plain
    chat = to_chat({"model": "m", "max_tokens": 1, "messages": HELLO} | tools)
    assert chat["tools"] == [{"type": "function", "function": {"name": "run", "parameters": {}}}]


def user(*blocks: Json) -> Json:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{"name": "run"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "run", "input_schema": {}, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        (user({"type": "server_tool_use", "id": "a", "name": "b", "input": {}}), "messages[0].content[0].type"),
        (user({"type": "search_result", "source": "a", "title": "b", "content": []}), "messages[0].content[0].type"),
        (user({"type": "thinking", "thinking": "a", "signature": "b"}), "messages[0].content[0].type"),
        (
            user({"type": "image", "source": {"type": "file", "file_id": "f"}}),
            "messages[0].content[0].source.type",
        ),
        (
            user({"type": "image", "source": {"type": "url", "url": "data:image/png;base64,aGk="}}),
            "messages[0].content[0].source.url",
        ),
        (user({"type": "document", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source"),
        (
            user(
                {
                    "type": "document",
                    "source": {
                        "type": "content",
                        "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                    },
                }
            ),
            "messages[0].content[0].source",
        ),
        (user({"type": "text", "text": "a", "x": 1}), "messages[0].content[0].x"),
        (user({"type": "thinking", "thinking": "a", "signature": "b", "x": 1}), "messages[0].content[0].x"),
        (user({"type": "thinking", "thinking": 1}), "messages[0].content[0].thinking"),
        (user({"type": "text"}), "messages[0].content[0].text"),
        (user({"type": "text", "text": "a", "citations": 1}), "messages[0].content[0].citations"),
        ({"system": [{"type": "image", "source": {"type": "url", "url": "https://a.b"}}]}, "system[0].type"),
        (
            {
                "messages": [
                    *HELLO,
                    {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "sluice1.AAAA"}]},
                ]
            },
            "messages[1].content[0].data",
        ),
        ({"messages": CALLED}, "messages[1].content"),
        ({"messages": [*CALLED, {"role": "user", "content": "And?"}]}, "messages[2].content"),
        (
            {"messages": [*HELLO, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]},
            "messages[1].content",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(fields: Json, param: str) -> None:
    assert refusal(**fields) == param


def test_a_result_may_be_of_a_call_in_a_conversation_that_is_remembered() -> None:
    chat = to_chat({"model": "m", "max_tokens": 1} | user({"type": "tool_result", "tool_use_id": "a", "content": "1"}))
    assert chat["messages"] == [{"role": "tool", "tool_call_id": "a", "content": "1"}]
