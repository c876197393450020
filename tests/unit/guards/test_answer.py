"""The output guard on whole answers: every string of them is judged."""

import json
from typing import Any

import pytest

from sluice.chat import ResponseFormat
from sluice.errors import GuardBlockedError, InvalidAnswerError
from sluice.guards.answer import judge_answer
from sluice.guards.rules import Mode
from sluice.guards.strings import MOST_VALUES
from sluice.guards.structured_output import InvalidJsonAnswerError

SECRET = "sk-proj-Zq8Lw3Xv9Bn2Mk5Jh7Gf4Ds6Ap1Qo0RtYuIeWqZxCvBn"
ESCAPED = "".join(f"\\u{ord(each):04x}" for each in SECRET)
OBJECT = ResponseFormat(type="json_object")


def body(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi.", **message}, "finish_reason": finish}
    return {"id": "x", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}, **fields}


@pytest.mark.parametrize("secret", [SECRET, ESCAPED, json.dumps(ESCAPED)])
@pytest.mark.parametrize(
    "message",
    [
        lambda text: {"content": text},
        lambda text: {"content": [{"type": "text", "text": text}]},
        lambda text: {"refusal": text},
        lambda text: {"reasoning": text},
        lambda text: {"reasoning_content": text},
        lambda text: {"reasoning_details": [{"type": "reasoning.text", "text": text}]},
        lambda text: {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": f'{{"key": "{text}"}}'}}]},
        lambda text: {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"key": text}}}]},
        lambda text: {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {text: 1}}}]},
        lambda text: {"tool_calls": [{"id": "c", "custom": {"name": "f", "input": text}}]},
        lambda text: {"function_call": {"name": "f", "arguments": text}},
        lambda text: {"audio": {"id": "a", "data": "UklGRg==", "transcript": text}},
        lambda text: {"annotations": [{"url_citation": {"url": f"https://example.org/?{text}", "title": "t"}}]},
        lambda text: {"never": {"heard": [["of", {"this": text}]]}},
    ],
)
def test_a_secret_never_leaves_wherever_it_is(message: Any, secret: str) -> None:
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        judge_answer(body(message(secret)), None, {})
    _, findings = judge_answer(body(message(secret)), None, {"secret-api-key": Mode.FLAG})
    assert "secret-api-key" in [finding.rule_id for finding in findings]


def test_a_secret_in_parts_never_leaves() -> None:
    parts = [{"type": "text", "text": SECRET[:20]}, {"type": "text", "text": SECRET[20:]}]
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        judge_answer(body({"content": parts}), None, {})


def test_what_stands_beside_the_choices_is_judged_too() -> None:
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        judge_answer(body({}, citations=[SECRET]), None, {})


def test_an_answer_with_too_many_values_is_not_passed_on_unread() -> None:
    with pytest.raises(InvalidAnswerError, match="too many values"):
        judge_answer(body({"annotations": [0] * MOST_VALUES}), None, {})


def test_a_harmless_answer_is_the_same_object() -> None:
    answer = body({"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]})
    assert judge_answer(answer, None, {}) == (answer, ())
    assert judge_answer(answer, OBJECT, {})[0] is answer


def test_json_is_repaired_and_its_thought_set_aside() -> None:
    answer, _ = judge_answer(body({"content": '<think>So.</think>```json\n{"a": 1,}\n```'}), OBJECT, {})
    message = answer["choices"][0]["message"]
    assert (json.loads(message["content"]), message["reasoning_content"]) == ({"a": 1}, "So.")


def test_json_that_was_cut_off_is_an_answer() -> None:
    answer = body({"content": '{"a": "and then'}, "length")
    assert judge_answer(answer, OBJECT, {}) == (answer, ())


@pytest.mark.parametrize("content", [None, "", "I'd rather not."])
def test_what_is_no_json_is_no_answer(content: str | None) -> None:
    with pytest.raises(InvalidJsonAnswerError):
        judge_answer(body({"content": content}), OBJECT, {})
