"""What an answer is, and whether it may be given to others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.providers.verdict import AnswerState, ending, may_be_cached, says_something, state_of

WHOLE, CUT, FAILED = AnswerState.WHOLE, AnswerState.CUT, AnswerState.FAILED
EMPTY, WITHHELD = AnswerState.EMPTY, AnswerState.WITHHELD


WRITTEN: dict[str | None, list[Any]] = {
    "stop": ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE"],
    "length": ["length", "max_tokens", "MAX_TOKENS", "max_length", "model_length"],
    "tool_calls": ["tool_calls", "tool_use", "TOOL_CALL", "toolCalls"],
    "function_call": ["function_call"],
    "content_filter": ["content_filter", "SAFETY", "RECITATION", "guardrail_intervened"],
    "error": ["error", "ERROR", "abort", "cancelled", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"],
    None: ["", " ", "null", "None", "unknown", "FINISH_REASON_UNSPECIFIED", "other", None, 0, 1, True, {}, ["stop"]],
}


@pytest.mark.parametrize("meant", WRITTEN)
def test_endings_are_known_in_every_spelling(meant: str | None) -> None:
    assert [ending(written) for written in WRITTEN[meant]] == [meant] * len(WRITTEN[meant])


def answer(reason: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": "Hi.", **message}, "finish_reason": reason}]}


@pytest.mark.parametrize(
    ("body", "state", "is_cached"),
    [
        (answer(), WHOLE, True),
        (answer("tool_calls", content=None, tool_calls=[{"id": "a"}]), WHOLE, True),
        (answer("function_call", content=None, function_call={"name": "f"}), WHOLE, False),
        (answer(content=None, refusal="I can't."), WHOLE, True),
        (answer(content=None, audio={"id": "a"}), WHOLE, True),
        (answer("length"), CUT, False),
        (answer("length", content=""), CUT, False),
        (answer(None), CUT, False),
        (answer(""), CUT, False),
        (answer("null"), CUT, False),
        (answer("unheard_of"), CUT, False),
        (answer("content_filter"), WITHHELD, False),
        (answer("content_filter", content=None), WITHHELD, False),
        (answer(content=""), EMPTY, False),
        (answer(content=None), EMPTY, False),
        (answer(content=" \n"), EMPTY, False),
        (answer(content=None, reasoning_content="hm"), EMPTY, False),
        (answer("tool_calls", content=None, tool_calls=[]), EMPTY, False),
        (answer("error"), FAILED, False),
        (answer("abort"), FAILED, False),
        (answer() | {"error": {"code": 502}}, FAILED, False),
        ({"choices": [{"finish_reason": "stop", "message": {"content": "a"}, "error": {"code": 502}}]}, FAILED, False),
        ({"choices": [{"message": {"content": "a"}, "error": {"code": 502}}]}, FAILED, False),
        ({"choices": []}, FAILED, False),
        ({}, FAILED, False),
    ],
)
def test_an_answer_is_what_it_is(body: dict[str, Any], state: AnswerState, is_cached: bool) -> None:
    assert state_of(body) is state
    assert may_be_cached(body) is is_cached


@given(st.permutations(["stop", "length", "content_filter", "error"]), st.integers(1, 4))
def test_the_worst_choice_decides(reasons: list[str], count: int) -> None:
    body = {"choices": [answer(reason)["choices"][0] for reason in reasons[:count]]}
    states = [state_of(answer(reason)) for reason in reasons[:count]]
    worst = next(state for state in (FAILED, WITHHELD, CUT, EMPTY, WHOLE) if state in states)
    assert state_of(body) is worst
    assert may_be_cached(body) is (worst is WHOLE)


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ({}, False),
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": "", "refusal": None, "tool_calls": []}, False),
        ({"content": "a"}, True),
        ({"content": " "}, True),
        ({"reasoning_content": "hm"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"refusal": "no"}, True),
        ({"audio": {"id": "a"}}, True),
    ],
)
def test_a_role_alone_says_nothing(delta: dict[str, Any], says: bool) -> None:
    assert says_something(delta) is says
