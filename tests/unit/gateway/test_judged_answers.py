"""Answers from the cache: judged once by the same rules, anew by others, and never let through without."""

from dataclasses import replace

import pytest

from sluice.cache.store import CachedAnswer
from sluice.errors import GuardBlockedError
from sluice.gateway import judged_answers
from sluice.gateway.judged_answers import JudgedAnswers
from sluice.guards.answer import judge_answer
from sluice.guards.rules import Mode

KEY = "secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLKEY7"[:40]
RULE = "secret-aws-key"


def answer(says: str, digest: str = "a") -> CachedAnswer:
    message = {"role": "assistant", "content": says}
    body = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return CachedAnswer(body, "model", "deployment", digest)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was judged, in order."""
    said: list[str] = []

    def counting(body: dict, *rest: object) -> object:  # type: ignore[type-arg]
        said.append(body["choices"][0]["message"]["content"])
        return judge_answer(body, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(judged_answers, "judge_answer", counting)
    return said


def test_an_answer_is_judged_once_by_the_same_rules_and_anew_by_others(judged: list[str]) -> None:
    answers = JudgedAnswers()
    flagging = {RULE: Mode.FLAG}
    first = answers.findings(answer(KEY), flagging)
    assert [(each.rule_id, each.mode) for each in first] == [(RULE, Mode.FLAG)]
    assert answers.findings(answer(KEY), dict(flagging)) == first
    assert judged == [KEY]
    assert answers.findings(answer(KEY), {RULE: Mode.OFF}) == ()
    assert judged == [KEY, KEY]


def test_another_answer_is_judged_for_itself_and_one_that_nobody_can_tell_from_others_each_time(
    judged: list[str],
) -> None:
    answers = JudgedAnswers()
    assert answers.findings(answer("harmless"), {}) == ()
    with pytest.raises(GuardBlockedError):
        answers.findings(answer(KEY, "b"), {RULE: Mode.BLOCK})
    unnamed = replace(answer("harmless"), digest="")
    answers.findings(unnamed, {})
    answers.findings(unnamed, {})
    assert judged == ["harmless", KEY, "harmless", "harmless"]


def test_an_answer_that_is_blocked_is_blocked_each_time(judged: list[str]) -> None:
    answers = JudgedAnswers()
    for _ in range(2):
        with pytest.raises(GuardBlockedError):
            answers.findings(answer(KEY), {RULE: Mode.BLOCK})
    assert judged == [KEY, KEY]
