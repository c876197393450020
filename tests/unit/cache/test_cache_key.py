import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.cache.key import cache_key
from sluice.chat import ChatRequest, ResponseFormat

BASE: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}

texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, width=16) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": texts},
        optional={"name": texts, "tool_call_id": texts},
    ),
    min_size=1,
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("auto"), "messages": messages},
    optional={
        "max_tokens": st.integers(1, 3),
        "temperature": st.sampled_from([0.0, 0.5, 1.0]),
        "n": st.integers(1, 3),
        "seed": st.integers(0, 3),
        "stop": st.lists(texts, max_size=2),
        "tools": st.lists(st.dictionaries(texts, values, max_size=2), max_size=2),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "x_unknown": values,
        "metadata": st.fixed_dictionaries({}, optional={"task": texts, "theirs": texts}),
    },
)


def key(body: dict[str, Any], tenant: str = "acme", model: str = "auto") -> str:
    return cache_key(ChatRequest.model_validate_json(json.dumps(body)), tenant=tenant, model=model)


def test_what_was_held_against_another_format_is_another_answer() -> None:
    request = ChatRequest.model_validate(BASE)
    of_task = ResponseFormat(type="json_schema", json_schema={"name": "n", "schema": {"type": "object"}})
    formats = [None, ResponseFormat(type="json_object"), of_task]
    assert len({cache_key(request, tenant="acme", model="auto", answer_format=each) for each in formats}) == 3


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(inner) for name, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


def meaning(body: dict[str, Any]) -> str:
    """A body as text that differs wherever JSON differs; empty metadata is none."""
    said = {name: value for name, value in body.items() if not (name == "metadata" and not value)}
    return json.dumps(said, sort_keys=True)


@given(one=bodies, other=bodies)
def test_requests_share_a_key_exactly_if_they_mean_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (key(one) == key(other)) == (meaning(one) == meaning(other))


@given(body=bodies, name=st.sampled_from(["max_tokens", "temperature", "seed", "messages", "x_unknown", "tools"]))
def test_a_request_that_differs_in_one_field_has_its_own_key(body: dict[str, Any], name: str) -> None:
    different: dict[str, Any] = {
        "max_tokens": 99,
        "temperature": 1.5,
        "seed": 99,
        "messages": [*body["messages"], {"role": "user", "content": "more"}],
        "x_unknown": {"not": "before"},
        "tools": [{"type": "function", "function": {"name": "new"}}],
    }
    if body.get(name) != different[name]:
        assert key(body) != key({**body, name: different[name]})


@given(body=bodies)
def test_the_order_of_names_does_not_matter(body: dict[str, Any]) -> None:
    assert key(body) == key(shuffled(body))


@given(body=bodies, name=st.sampled_from(["max_tokens", "temperature", "top_p", "n", "metadata", "response_format"]))
def test_null_is_the_same_as_leaving_it_out(body: dict[str, Any], name: str) -> None:
    body.pop(name, None)
    assert key(body) == key({**body, name: None})


@pytest.mark.parametrize(
    "delivery",
    [
        {"stream": True},
        {"stream": False},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"metadata": {"user": "ada"}},
        {"metadata": {"conversation_id": "c-1"}},
    ],
)
def test_how_and_to_whom_it_is_delivered_does_not_matter(delivery: dict[str, Any]) -> None:
    assert key({**BASE, **delivery}) == key(BASE)


def test_tenant_model_and_task_matter() -> None:
    keys = [
        key(BASE),
        key(BASE, tenant="other"),
        key(BASE, model="llama-3.1-8b-instant"),
        key({**BASE, "metadata": {"task": "summary"}}),
        key({**BASE, "metadata": {"theirs": "summary"}}),
    ]
    assert len(set(keys)) == len(keys)


def test_a_tenant_cannot_pretend_to_be_another_by_its_name() -> None:
    assert key(BASE, tenant='a","task":"b') != key({**BASE, "metadata": {"task": "b"}}, tenant="a")


def test_an_alias_and_the_name_it_stands_for_share_a_key() -> None:
    assert key({**BASE, "model": "llama-3.1-8b"}, model="m") == key({**BASE, "model": "m"}, model="m")


def test_true_and_one_are_not_the_same() -> None:
    assert key({**BASE, "x_unknown": True}) != key({**BASE, "x_unknown": 1})


def test_a_lone_surrogate_has_a_key() -> None:
    body = '{"model": "auto", "messages": [{"role": "user", "content": "x"}], "x_unknown": "\\ud800"}'
    request = ChatRequest.model_validate({**json.loads(body)})
    assert len(cache_key(request, tenant="acme", model="auto")) == 64
