"""What a chat request may say, and what is read of it and of a usage."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice.chat import DOCUMENTED_FIELDS, ChatRequest, Labels, Usage

HELLO = [{"role": "user", "content": "Say hello."}]


def chat(**fields: Any) -> ChatRequest:
    """A request as it comes over the wire."""
    body = {"model": "m", "messages": HELLO} | fields
    return ChatRequest.model_validate_json(json.dumps(body), strict=True)


@pytest.mark.parametrize("name", sorted(DOCUMENTED_FIELDS - {"model", "messages"}))
def test_every_optional_field_may_be_null_and_then_is_not_sent(name: str) -> None:
    assert chat(**{name: None}).body_for("m") == {"model": "m", "messages": HELLO}


def test_optional_fields_within_others_may_be_null() -> None:
    request = chat(
        messages=[{"role": "assistant", "content": None, "name": None, "tool_calls": None}, *HELLO],
        stream_options={"include_usage": None},
        metadata={"sluice_user": None, "a": None},
        response_format={"type": "json_object", "json_schema": None},
    )
    assert not request.stream
    assert request.labels == Labels()


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n"])
def test_whole_numbers_may_be_written_with_a_point(name: str) -> None:
    request = chat(**{name: 10.0})
    assert request.body_for("m")[name] == 10
    assert isinstance(request.body_for("m")[name], int)
    for wrong in (10.5, "10", True, -1.0, 0.0):
        with pytest.raises(ValidationError):
            chat(**{name: wrong})


def test_contents_may_be_empty() -> None:
    for content in ("", [], [{"type": "text", "text": ""}]):
        assert chat(messages=[{"role": "system", "content": content}, *HELLO]).messages[0].text == ""


def test_other_formats_are_the_providers() -> None:
    assert chat(response_format={"type": "regex", "value": "a+"}).body_for("m")["response_format"] == {
        "type": "regex",
        "value": "a+",
    }


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": 90_000, "max_completion_tokens": 1}, 90_000),
        ({"max_tokens": 1, "max_completion_tokens": 90_000}, 90_000),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": None}, 7),
    ],
)
def test_the_larger_of_two_limits_counts_and_is_sent_in_the_field_that_is_asked_for(
    fields: dict[str, Any], limit: int | None
) -> None:
    request = chat(**fields)
    assert request.completion_limit == limit
    expected = {} if limit is None else {"max_completion_tokens": limit}
    sent = request.body_for("m", "max_completion_tokens")
    assert {name: sent[name] for name in sent if name.startswith("max_")} == expected


@pytest.mark.parametrize(
    ("metadata", "labels", "sent"),
    [
        (None, Labels(), None),
        ({}, Labels(), None),
        ({"sluice_user": "u", "sluice_task": "t", "sluice_conversation_id": "c"}, Labels("u", "t", "c"), None),
        ({"sluice_user": "u", "trace": "x"}, Labels("u"), {"trace": "x"}),
        # The names of before, as long as they can mean nothing else.
        ({"user": "u", "task": "t", "conversation_id": "c"}, Labels("u", "t", "c"), None),
        ({"user": "u", "task": None}, Labels("u"), None),
        # Clients that mean something else by them.
        ({"user": "u", "trace": "x"}, Labels(), {"user": "u", "trace": "x"}),
        ({"user": {"id": 7}}, Labels(), {"user": {"id": 7}}),
        ({"task": 5}, Labels(), {"task": 5}),
        ({"task": "t" * 500}, Labels(), {"task": "t" * 500}),
        ({"user": ""}, Labels(""), None),
        ({"sluice_user": "u", "user": "x", "task": "y"}, Labels("u"), {"user": "x", "task": "y"}),
        ({"sluice_task": "t", "conversation_id": "x"}, Labels(task="t"), {"conversation_id": "x"}),
    ],
)
def test_labels_are_sluices_and_all_else_is_the_providers(metadata: Any, labels: Labels, sent: Any) -> None:
    request = chat(metadata=metadata)
    assert request.labels == labels
    assert request.body_for("m").get("metadata") == sent


@pytest.mark.parametrize("name", ["sluice_user", "sluice_task", "sluice_conversation_id"])
def test_a_label_that_is_none_is_refused_where_it_is(name: str) -> None:
    for wrong in (5, "x" * 129, {"a": 1}):
        with pytest.raises(ValidationError) as raised:
            chat(metadata={name: wrong})
        assert raised.value.errors()[0]["loc"] == ("metadata", name)


def test_labels_beside_the_body_count_more_and_leave_metadata_to_the_client() -> None:
    request = chat(metadata={"user": "theirs", "sluice_task": "t"}).labelled(Labels(user="ours"))
    assert request.labels == Labels("ours", "t")
    assert request.body_for("m")["metadata"] == {"user": "theirs"}
    assert chat(metadata={"user": "u"}).labelled(Labels()).labels == Labels("u")
    assert chat().labelled(Labels(conversation_id="c")).labels == Labels(conversation_id="c")


@pytest.mark.parametrize(
    ("fields", "is_plain"),
    [
        ({}, True),
        ({"stream": True, "temperature": 0.5, "user": "u", "tools": None}, True),
        ({"tools": []}, False),
        ({"max_tokens": 5}, False),
        ({"top_k": 5}, False),
        ({"response_format": {"type": "text"}}, False),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, False),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, False),
    ],
)
def test_a_plain_request_asks_for_nothing_special(fields: dict[str, Any], is_plain: bool) -> None:
    assert chat(**fields).is_plain is is_plain


REASONED = {"completion_tokens_details": {"reasoning_tokens": 500}}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, Usage(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(10, 5)),
        # Believed upwards only.
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 515, **REASONED}, Usage(10, 505)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **REASONED}, Usage(10, 505)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 500}, Usage(10, 505)),
        ({"prompt_tokens": 10, "completion_tokens": 600, **REASONED}, Usage(10, 600)),
        ({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 4_020}, Usage(10, 4_010)),
        ({"completion_tokens": 10, "total_tokens": 4_020}, Usage(10, 4_010)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 3}, Usage(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": "many"}, Usage(10, 5)),
        ({"prompt_tokens": 10.0, "completion_tokens": 5.0}, Usage(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 0}, Usage(10, 0)),
        # Other names for the same.
        ({"input_tokens": 10, "output_tokens": 5}, Usage(10, 5)),
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 90}, Usage(100, 5, 90)),
        # What the provider had in its cache.
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}},
            Usage(10, 5, 8),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}, Usage(10, 5, 8)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 800}},
            Usage(10, 5, 10),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -8}}, Usage(10, 5)),
        # As texts.
        ({"prompt_tokens": "10", "completion_tokens": "5", "total_tokens": "15"}, Usage(10, 5)),
        ({"prompt_tokens": "10", "completion_tokens": "5.5"}, None),
        ({"prompt_tokens": "1" * 400, "completion_tokens": "5"}, None),
        # Missing or impossible.
        ({"prompt_tokens": 10}, None),
        ({"prompt_tokens": 10, "total_tokens": 15}, None),
        ({"completion_tokens": 5}, None),
        ({"prompt_tokens": 0, "completion_tokens": 5}, None),
        ({"prompt_tokens": -5, "completion_tokens": 5, "total_tokens": 10}, None),
        ({"prompt_tokens": 10, "completion_tokens": -5}, None),
        ({"prompt_tokens": "ten", "completion_tokens": 5, "total_tokens": 15}, None),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10.5, "completion_tokens": 5}, None),
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_usage_is_believed_upwards_only(usage: Any, expected: Usage | None) -> None:
    assert Usage.from_body({"usage": usage}) == expected


counts = st.integers(-10, 10_000) | st.none() | st.floats() | st.text(max_size=3) | st.booleans()


@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "reasoning_tokens", "cached_tokens"]),
        counts,
    )
)
def test_no_usage_says_less_than_any_of_its_numbers(usage: dict[str, Any]) -> None:
    found = Usage.from_body({"usage": usage})
    if found is not None:
        assert found.prompt_tokens >= 1
        assert 0 <= found.cached_prompt_tokens <= found.prompt_tokens
        for name in ("completion_tokens", "total_tokens"):
            if isinstance(usage.get(name), int) and not isinstance(usage[name], bool):
                assert found.total_tokens >= usage[name]


@pytest.mark.parametrize("role", ["user", "User", "USER", " user"])
def test_a_role_is_known_in_any_case_and_sent_in_lower_case(role: str) -> None:
    messages = chat(messages=[{"role": role, "content": "Hi"}]).body_for("m")["messages"]
    assert messages == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("role", ["", "usr", "users", "user,system", None, 1, ["user"], {"user": 1}])
def test_what_is_no_role_in_any_case_is_refused(role: object) -> None:
    with pytest.raises(ValidationError):
        chat(messages=[{"role": role, "content": "Hi"}])
