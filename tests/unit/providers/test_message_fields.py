"""What is left out of a request for providers that do not take it."""

from typing import Any

import pytest

from sluice.chat import ChatRequest
from sluice.providers.message_fields import marks_cache, without_unknown

MARK = {"type": "ephemeral"}
BODY: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": MARK}]},
        {"role": "user", "content": "b", "cache_control": MARK},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "so",
            "phase": "commentary",
            "thinking_blocks": [{"type": "thinking", "thinking": "so", "signature": "s"}],
            "tool_calls": [{"id": "1", "function": {"name": "f"}, "extra_content": {"google": {}}}, "no call"],
        },
        {"role": "tool", "tool_call_id": "1", "content": "c", "is_error": True, "X-Own": {"cache_control": 1}},
    ],
    "tools": [
        {"type": "function", "cache_control": MARK, "function": {"name": "f", "cache_control": MARK}},
        "no tool",
    ],
    "cache_control": MARK,
    "thinking": {"type": "adaptive"},
}
PLAIN: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a"}]},
        {"role": "user", "content": "b"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"name": "f"}}, "no call"],
        },
        {"role": "tool", "tool_call_id": "1", "content": "c", "X-Own": {"cache_control": 1}},
    ],
    "tools": [{"type": "function", "function": {"name": "f"}}, "no tool"],
}
NAMES = ("cache_control", "thinking_blocks", "reasoning_content", "is_error", "extra_content", "phase")


def test_who_takes_none_of_it_is_asked_without_it() -> None:
    assert without_unknown(BODY, frozenset()) == PLAIN


def test_who_takes_all_of_it_is_asked_with_it() -> None:
    assert without_unknown(BODY, {"thinking", "cache_control", *(f"messages.{name}" for name in NAMES)}) == BODY


def test_each_is_left_out_by_itself() -> None:
    sent = without_unknown(BODY, {"messages.cache_control", "cache_control", "thinking"})
    assert sent["messages"][0] == BODY["messages"][0]
    assert sent["messages"][2] == PLAIN["messages"][2]
    assert (sent["tools"], sent["cache_control"], sent["thinking"]) == (BODY["tools"], MARK, {"type": "adaptive"})


def test_the_request_itself_is_left_alone() -> None:
    before = str(BODY)
    without_unknown(BODY, frozenset())
    assert str(BODY) == before


def test_thinking_that_is_asked_for_is_not_left_out() -> None:
    asked = {**PLAIN, "thinking": {"type": "enabled"}}
    assert without_unknown(asked, frozenset()) == asked


@pytest.mark.parametrize(
    "marked",
    [
        {"cache_control": MARK},
        {"messages": [{"role": "user", "content": "a", "cache_control": MARK}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": MARK}]}]},
        {"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": MARK}]},
        {"tools": ["f", {"type": "function", "function": {"name": "f", "cache_control": MARK}}]},
    ],
)
def test_whatever_is_marked_for_a_cache_is_seen(marked: dict[str, Any]) -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "cache_control"}]}]}
    assert not marks_cache(ChatRequest.model_validate(plain))
    assert marks_cache(ChatRequest.model_validate(plain | marked))
