"""What settlement keeps of an answer: in the cache, for who waits, in conversations, records and traces."""

from concurrent.futures import Future
from typing import Any

import pytest

from sluice.cache.store import CachedAnswer
from sluice.chat import Usage
from sluice.errors import (
    GuardBlockedError,
    NoProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from sluice.request_log.record import RequestOutcome, RequestRecord
from sluice.request_log.trace import RequestTrace
from sluice.tenants.tenant import GuardModel, GuardModels
from tests.credentials import model
from tests.gateways import COST_NANOUSD, MemoryGateway, entry, in_conversation, said
from tests.scripted_providers import USAGE, Reply, body

BUDGETED: dict[str, Any] = {"budget_nanousd": 10**12}


def answered(gateway: MemoryGateway, reply: Reply, **fields: Any) -> None:
    """Let a request be answered with a reply."""
    gateway.script.replies["one"] = [reply]
    gateway.complete(**fields)


@pytest.mark.parametrize(
    ("reply", "is_kept"),
    [
        (Reply(), True),
        (Reply(body=body("", usage=USAGE)), False),
        (Reply(body=body(finish_reason="length")), False),
        (Reply(body=body(finish_reason="content_filter")), False),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_only_whole_answers_are_kept(reply: Reply, is_kept: bool, is_streamed: bool) -> None:
    gateway = MemoryGateway()
    gateway.script.replies["one"] = [reply]
    gateway.read() if is_streamed else gateway.complete()
    assert bool(gateway.cache.answers) == is_kept
    assert gateway.sums.added[:1] == ([("acme", gateway.sums.added[0][1])] if is_kept else [])


def test_what_a_stand_in_answered_is_not_kept() -> None:
    large = entry("two", large=model("smart"))
    gateway = MemoryGateway(entry("one"), large, fallbacks={"small": ("large",)})
    gateway.script.replies["one"] = [ProviderUnavailableError("x")]
    assert gateway.complete().provenance.model == "large"
    assert gateway.cache.answers == {}


GUARDED = entry("one", small=model(), prompt=model(verdict="probability"), answer=model(verdict="safety"))


@pytest.mark.parametrize(
    ("side", "verdict", "is_kept"),
    [
        ("prompt", "0.1", True),
        ("prompt", "0.9", False),
        ("prompt", "what?", False),
        ("answer", "safe", True),
        ("answer", "unsafe", False),
    ],
)
def test_what_a_guard_model_flagged_or_could_not_judge_is_not_kept(side: str, verdict: str, is_kept: bool) -> None:
    modes = {f"guard-model-{side}": "flag"}
    gateway = MemoryGateway(GUARDED, guard_models=GuardModels(**{side: GuardModel(side)}), guard_modes=modes)
    judged, answer = Reply(body=body(verdict)), Reply()
    gateway.script.replies["one"] = [judged, answer] if side == "prompt" else [answer, judged]
    gateway.complete()
    assert bool(gateway.cache.answers) == is_kept


def test_what_rules_flag_is_kept_for_they_judge_it_again() -> None:
    gateway = MemoryGateway(guard_modes={"personal-email": "flag"})
    answered(gateway, Reply(body=body("ada@example.com")), **said("Write to bob@example.com."))
    assert len(gateway.cache.answers) == 1


def test_identical_requests_are_told_when_an_answer_is_there_and_when_there_is_none() -> None:
    gateway = MemoryGateway(**BUDGETED)
    waiting = gateway.shared._under_way
    futures: list[Future[CachedAnswer | None]] = []

    def failing() -> Reply:
        futures.extend(waiting.values())
        raise ProviderUnavailableError("x")

    def answering() -> Reply:
        futures.extend(waiting.values())
        return Reply()

    gateway.script.replies["one"] = [failing, answering]
    with pytest.raises(NoProviderError):
        gateway.complete()
    gateway.complete()
    none, kept = (future.result(0) for future in futures)
    assert (none, kept and kept.body, waiting) == (None, body(), {})


def test_who_waits_is_told_of_the_answer_that_is_json_and_not_of_the_first_that_is_none() -> None:
    gateway = MemoryGateway()
    waiting = gateway.shared._under_way
    states = []

    def reply() -> Reply:
        states.append([future.done() for future in waiting.values()])
        return Reply(body=body("{}" if len(states) > 1 else "no JSON"))

    gateway.script.replies["one"] = [reply, reply]
    gateway.complete(response_format={"type": "json_object"})
    assert (states, waiting) == ([[False], [False]], {})


def test_only_an_answer_that_was_given_is_remembered() -> None:
    gateway = MemoryGateway(guard_modes={"personal-email": "block"})
    gateway.script.replies["one"] = [
        Reply(body=body("ada@example.com")),
        ProviderUnavailableError("x"),
    ]
    with pytest.raises(GuardBlockedError):
        gateway.complete(**in_conversation())
    with pytest.raises(NoProviderError):
        gateway.complete(**in_conversation())
    assert (gateway.conversations.turns, gateway.conversations.claimed) == ({}, {})
    assert gateway.conversations.abandoned == 2
    gateway.complete(**in_conversation())
    assert gateway.conversations.said("c-1") == ["Hello there", "Good morning."]


def test_records_that_cannot_be_written_cost_no_answer() -> None:
    gateway = MemoryGateway(entry("one"), entry("two"), **BUDGETED)
    gateway.records.is_down = True
    gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
    assert gateway.complete().body == body()
    assert gateway.complete().provenance.cache == "hit"
    context = gateway.context({})
    shown = gateway.gateway.record_without_model(
        gateway.request({}), gateway.principal, context, source="question-bank"
    )
    assert shown.cache == "hit"


def test_a_trace_that_cannot_be_noted_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("sluice.gateway.settlement.note_settled", broken)
    gateway = MemoryGateway(**BUDGETED)
    assert gateway.complete().body == body()
    assert (gateway.spent(), len(gateway.records.added)) == (COST_NANOUSD, 1)


def test_a_cache_that_cannot_be_chosen_for_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError

    monkeypatch.setattr("sluice.gateway.settlement.may_be_cached", broken)
    gateway = MemoryGateway(**BUDGETED)
    assert gateway.complete().body == body()
    assert (gateway.spent(), gateway.cache.answers) == (COST_NANOUSD, {})


def test_a_record_says_who_asked_whom_and_for_what() -> None:
    gateway = MemoryGateway()
    gateway.complete(metadata={"sluice_user": "ada", "sluice_task": "greeting"}, operation="task")
    gateway.complete(metadata={"sluice_user": "ada", "sluice_task": "greeting"}, operation="task")
    for record, is_hit in zip(gateway.records.added, (False, True), strict=True):
        assert (record.tenant, record.caller, record.user, record.task) == ("acme", "key00001", "ada", "greeting")
        assert (record.provider, record.model, record.credential) == ("gateway", "small", "one")
        assert (record.operation, record.is_cache_hit, record.is_error) == ("task", is_hit, False)
        assert record.usage == (Usage(0, 0) if is_hit else Usage(10, 5))


def test_a_request_s_record_has_what_it_came_to() -> None:
    gateway = MemoryGateway(**BUDGETED)
    gateway.complete()
    logged = gateway.logged()
    assert (logged.outcome, logged.model, logged.deployment) == (RequestOutcome.ANSWERED, "small", "one#small")
    assert (logged.tier, logged.prompt_tokens, logged.cost_nanousd) == ("fast", 10, COST_NANOUSD)
    quota, budget = gateway.trace.used()
    assert quota is not None
    assert budget is not None
    gateway.complete()
    logged = gateway.logged()
    assert (logged.cache, logged.outcome) == ("hit", RequestOutcome.ANSWERED)
    assert (logged.prompt_tokens, logged.completion_tokens, logged.cost_nanousd) == (0, 0, 0)
    gateway.script.replies["one"] = [ProviderUnavailableError("x")]
    with pytest.raises(NoProviderError):
        gateway.complete(**said("Another"))
    assert (gateway.logged().asks, gateway.logged().asked_model, gateway.logged().deployment) == (1, "small", "")


def test_without_a_budget_none_is_said_to_be_used() -> None:
    gateway = MemoryGateway()
    gateway.complete()
    assert gateway.trace.used()[1] is None


def test_a_request_that_asks_once_writes_its_record_while_it_is_settled() -> None:
    written: list[RequestRecord] = []
    gateway = MemoryGateway()
    for asks_once in (True, False):
        for _ in range(2):
            gateway.complete(trace=RequestTrace(asks_once=asks_once, write=written.append))
    assert [record.cache for record in written] == ["miss", "hit"]


def test_a_request_that_is_not_answered_is_not_written_yet() -> None:
    written: list[RequestRecord] = []
    gateway = MemoryGateway()
    gateway.script.replies["one"] = [ProviderUnavailableError("x")]
    with pytest.raises(NoProviderError):
        gateway.complete(trace=RequestTrace(asks_once=True, write=written.append))
    assert written == []
