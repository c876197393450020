"""Answers that rules or guard models judge, in the pipeline: withheld, flagged, asked for once more."""

from decimal import Decimal
from typing import Any

import pytest

from sluice.errors import (
    GuardBlockedError,
    GuardUnavailableError,
    InvalidAnswerError,
    NoProviderError,
    ProviderUnavailableError,
)
from sluice.request_log.record import RequestOutcome
from sluice.tenants.tenant import GuardModel, GuardModels
from tests.credentials import model
from tests.gateways import ADDRESS, COST_NANOUSD, MemoryGateway, entry
from tests.scripted_providers import Reply, body

JSON = {"response_format": {"type": "json_object"}}
GUARDED = entry(
    "one",
    small=model(),
    prompt=model(verdict="probability"),
    answer=model(verdict="safety"),
)


def guarded(side: str, said: str, **more: Any) -> MemoryGateway:
    """A gateway whose tenant has a guard model for prompts or answers, which says something."""
    guard = GuardModel(side, **more)
    made = MemoryGateway(GUARDED, guard_models=GuardModels(**{side: guard}), budget_nanousd=10**12)
    verdict, answer = Reply(body=body(said)), Reply()
    made.script.replies["one"] = [verdict, answer] if side == "prompt" else [answer, verdict]
    return made


@pytest.mark.parametrize("is_streamed", [False, True])
def test_an_answer_that_breaks_a_rule_is_withheld_and_paid_for(is_streamed: bool) -> None:
    gateway = MemoryGateway(budget_nanousd=10**12, guard_modes={"personal-email": "block"})
    gateway.script.replies["one"] = [Reply(body=body(ADDRESS))]
    with pytest.raises(GuardBlockedError):
        gateway.read() if is_streamed else gateway.complete()
    assert (gateway.counted(), gateway.cache.answers) == (1, {})
    [record] = gateway.records.added
    assert record.is_error
    # Of a stream that did not come to its end nobody has said what it used: what was reserved counts.
    assert gateway.spent() == record.cost_nanousd
    assert record.cost_nanousd > COST_NANOUSD if is_streamed else record.cost_nanousd == COST_NANOUSD
    assert gateway.logged().outcome is RequestOutcome.WITHHELD


def test_what_rules_flag_is_said_of_prompt_and_answer_once() -> None:
    gateway = MemoryGateway(guard_modes={"personal-email": "flag"})
    gateway.script.replies["one"] = [Reply(body=body(ADDRESS))]
    assert gateway.complete().provenance.flagged_rules == ("personal-email",)
    gateway.script.replies["one"] = [Reply()]
    asked = ({"role": "user", "content": ADDRESS},)
    assert gateway.complete(messages=asked).provenance.flagged_rules == ("personal-email",)
    assert gateway.complete(messages=({"role": "user", "content": "Good night"},)).provenance.flagged_rules == ()


def test_an_answer_that_is_not_the_json_asked_for_is_asked_for_once_more() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    gateway.script.replies["one"] = [Reply(body=body("no JSON")), Reply(body=body('{"a": 1}'))]
    answer = gateway.complete(**JSON, metadata={"sluice_conversation_id": "c-1"})
    assert answer.body["choices"][0]["message"]["content"] == '{"a": 1}'
    assert (gateway.counted(), gateway.spent()) == (1, 2 * COST_NANOUSD)
    assert [record.is_error for record in gateway.records.added] == [True, False]
    assert gateway.taken("one#small") == {"requests": 2, "tokens": 30}
    # The turn goes on until there is an answer to remember.
    assert gateway.conversations.said("c-1") == ["Hello there", '{"a": 1}']


def test_an_answer_that_is_no_json_twice_is_an_error_that_counts() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    gateway.script.replies["one"] = [Reply(body=body("no JSON")), Reply(body=body("still none"))]
    with pytest.raises(InvalidAnswerError, match="not the JSON that was asked for"):
        gateway.complete(**JSON, metadata={"sluice_conversation_id": "c-1"})
    assert (gateway.counted(), gateway.spent(), gateway.asked()) == (1, 2 * COST_NANOUSD, ["one", "one"])
    assert (gateway.conversations.claimed, gateway.conversations.abandoned) == ({}, 1)
    assert [settled.outcome for settled in gateway.trace._settled] == [None, RequestOutcome.WITHHELD]


def test_a_request_whose_second_call_reaches_nobody_counts_for_its_first() -> None:
    gateway = MemoryGateway()
    gateway.script.replies["one"] = [Reply(body=body("no JSON")), ProviderUnavailableError("x", was_sent=False)]
    with pytest.raises(NoProviderError):
        gateway.complete(**JSON)
    assert gateway.counted() == 1


def test_a_prompt_that_a_guard_model_catches_asks_nobody_else_and_counts() -> None:
    gateway = guarded("prompt", "0.9")
    for ask in (gateway.complete, gateway.stream):
        gateway.script.calls.clear()
        gateway.script.replies["one"] = [Reply(body=body("0.9"))]
        with pytest.raises(GuardBlockedError):
            ask()
        assert [call.model for call in gateway.script.calls] == ["prompt"]
    assert gateway.counted() == 2


def test_a_request_whose_guard_model_could_not_be_asked_is_given_back() -> None:
    guard = GuardModel("nobody", when_unavailable="block")
    gateway = MemoryGateway(GUARDED, guard_models=GuardModels(prompt=guard))
    with pytest.raises(GuardUnavailableError):
        gateway.complete(metadata={"sluice_conversation_id": "c-1"})
    assert (gateway.counted(), gateway.asked(), gateway.conversations.claimed) == (0, [], {})


def test_what_a_guard_model_finds_in_a_prompt_is_flagged_beside_what_rules_find() -> None:
    modes = {"guard-model-prompt": "flag", "personal-email": "flag"}
    guard = GuardModels(prompt=GuardModel("prompt"))
    for is_streamed in (False, True):
        gateway = MemoryGateway(GUARDED, guard_models=guard, guard_modes=modes)
        gateway.script.replies["one"] = [Reply(body=body("0.9")), Reply()]
        ask = gateway.stream if is_streamed else gateway.complete
        shown = ask(messages=({"role": "user", "content": ADDRESS},)).provenance
        assert shown.flagged_rules == ("personal-email", "guard-model-prompt")
        assert (shown.guard_cost_usd, shown.deployment) == (Decimal("0.00002"), "one#small")


def test_who_had_a_guard_model_asked_is_not_given_back_a_request_that_nobody_answers() -> None:
    gateway = guarded("prompt", "0.1")
    gateway.script.replies["one"][1:] = [ProviderUnavailableError("x", was_sent=False)]
    with pytest.raises(NoProviderError):
        gateway.complete()
    assert gateway.counted() == 1


def test_a_stream_that_a_guard_model_judges_is_asked_for_whole() -> None:
    gateway = guarded("answer", "safe")
    answer = gateway.stream(stream_options={"include_usage": True})
    assert [(call.model, call.pause_s) for call in gateway.script.calls] == [("small", None), ("answer", None)]
    chunks = [chunk.body for chunk in answer.chunks]
    assert chunks[0]["choices"][0]["delta"]["content"] == "Good morning."
    assert chunks[-1]["usage"]["total_tokens"] == 15
    assert (answer.provenance.cache, answer.provenance.deployment) == ("miss", "one#small")


@pytest.mark.parametrize(("side", "said"), [("prompt", "0.1"), ("answer", "safe")])
def test_a_cached_answer_is_not_judged_by_guard_models_again(side: str, said: str) -> None:
    gateway = guarded(side, said)
    gateway.complete()
    assert gateway.stream().provenance.cache == "hit"
    assert gateway.complete().provenance.cache == "hit"
    assert len(gateway.asked()) == 2


def test_a_stream_that_a_guard_model_judges_shows_usage_only_to_who_asks_for_it() -> None:
    assert not any("usage" in chunk for chunk in guarded("answer", "safe").read())


def test_an_answer_that_a_guard_model_catches_is_withheld() -> None:
    gateway = guarded("answer", "unsafe\nS9")
    with pytest.raises(GuardBlockedError):
        gateway.complete()
    assert gateway.logged().outcome is RequestOutcome.WITHHELD
    assert gateway.cache.answers == {}


def test_what_a_guard_model_flags_in_an_answer_is_said() -> None:
    guards, modes = GuardModels(answer=GuardModel("answer")), {"guard-model-answer": "flag", "personal-email": "flag"}
    gateway = MemoryGateway(GUARDED, guard_models=guards, guard_modes=modes)
    gateway.script.replies["one"] = [Reply(body=body(ADDRESS)), Reply(body=body("unsafe\nS9"))]
    assert gateway.complete().provenance.flagged_rules == ("personal-email", "guard-model-answer")
