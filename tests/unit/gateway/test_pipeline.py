"""The pipeline of a request, with all that it speaks to in memory: admit, reserve, call, guard, settle."""

from decimal import Decimal

import pytest

from sluice.chat import Usage
from sluice.errors import (
    GuardBlockedError,
    InvalidRequestError,
    NoProviderError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
)
from sluice.gateway.pipeline import Answer, StreamedAnswer
from sluice.routing.deadline import Deadline
from tests.credentials import model
from tests.gateways import ATTACK, COST_NANOUSD, MemoryGateway, entry
from tests.scripted_providers import body

TWO = (entry("one"), entry("two"))


def test_a_request_is_counted_answered_settled_recorded_and_cached() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    answer = gateway.complete(metadata={"sluice_user": "ada", "sluice_task": "greeting"})
    assert answer.body == body()
    shown = answer.provenance
    assert (shown.request_id, shown.deployment, shown.cache, shown.attempts) == ("req_1", "one#small", "miss", 1)
    assert (shown.cost_usd, shown.caller_limit and shown.caller_limit.remaining) == (Decimal("0.00002"), 99)
    assert (gateway.counted(), gateway.spent()) == (1, COST_NANOUSD)
    assert gateway.taken("one#small") == {"requests": 1, "tokens": 15}
    [record] = gateway.records.added
    assert (record.usage, record.cost_nanousd, record.is_error) == (Usage(10, 5), COST_NANOUSD, False)
    [cached] = gateway.cache.answers.values()
    assert (cached.body, cached.deployment) == (body(), "one#small")
    logged = gateway.logged()
    assert (logged.user, logged.task, logged.asked_model, logged.outcome) == ("ada", "greeting", "small", "answered")
    assert gateway.script.warmed == ["one"]


def test_the_same_again_comes_from_the_cache_and_asks_nobody() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    first, again = gateway.complete(), gateway.complete()
    assert again.body == first.body
    assert (again.provenance.cache, again.provenance.attempts) == ("hit", 0)
    assert again.provenance.cost_usd == Decimal(0)
    assert gateway.asked() == ["one"]
    assert (gateway.counted(), gateway.spent()) == (2, COST_NANOUSD)
    assert [record.is_cache_hit for record in gateway.records.added] == [False, True]


@pytest.mark.parametrize("includes_usage", [False, True])
def test_a_cached_answer_streams_as_it_was_asked_for(includes_usage: bool) -> None:
    gateway = MemoryGateway()
    gateway.complete()
    answer = gateway.stream(stream_options={"include_usage": includes_usage})
    chunks = [chunk.body for chunk in answer.chunks]
    assert answer.provenance.cache == "hit"
    assert gateway.asked() == ["one"]
    assert chunks[0]["choices"][0]["delta"]["content"] == "Good morning."
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False, False, *[True] * includes_usage]


def test_a_stream_is_settled_as_a_whole_answer_is() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    answer = gateway.stream()
    assert (answer.provenance.deployment, answer.provenance.cache) == ("one#small", "miss")
    assert gateway.records.added == []
    chunks = [chunk.body for chunk in answer.chunks]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Good morning."
    assert (gateway.counted(), gateway.spent()) == (1, COST_NANOUSD)
    assert gateway.taken("one#small") == {"requests": 1, "tokens": 15}
    logged = gateway.logged()
    assert logged.is_streamed
    assert logged.first_token_ms > 0
    assert gateway.complete().provenance.cache == "hit"


def test_a_whole_call_has_the_time_of_its_provider_and_a_stream_that_of_the_request() -> None:
    slow = {**entry("one"), "timeout_s": 20.0}
    for timeout_s, whole_s in ((60.0, 20.0), (10.0, 10.0)):
        gateway = MemoryGateway(slow)
        gateway.complete(deadline=Deadline.after(timeout_s))
        gateway.read(deadline=Deadline.after(timeout_s), skip_cache=True)
        whole, stream = gateway.script.calls
        assert whole.timeout_s == pytest.approx(whole_s, abs=1)
        assert stream.timeout_s == pytest.approx(timeout_s, abs=1)
        assert stream.pause_s == 20.0


def test_what_the_guards_block_counts_and_asks_nobody() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    for ask in (gateway.complete, gateway.stream):
        with pytest.raises(GuardBlockedError):
            ask(messages=ATTACK, metadata={"sluice_user": "ada"})
        assert gateway.trace.user == "ada"
    assert (gateway.asked(), gateway.counted(), gateway.spent()) == ([], 2, 0)


@pytest.mark.parametrize("is_billed", [False, True])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_next_deployment_answers_where_one_fails(is_billed: bool, is_streamed: bool) -> None:
    gateway = MemoryGateway(*TWO, budget_nanousd=10**12)
    gateway.script.replies["one"] = [ProviderTimeoutError("slow") if is_billed else ProviderUnavailableError("503")]
    answer: Answer | StreamedAnswer = gateway.stream() if is_streamed else gateway.complete()
    assert (answer.provenance.deployment, answer.provenance.attempts) == ("two#small", 2)
    if isinstance(answer, StreamedAnswer):
        list(answer.chunks)
    assert gateway.asked() == ["one", "two"]
    assert gateway.counted() == 1
    by_credential = {record.credential: record for record in gateway.records.added}
    assert not by_credential["two"].is_error
    # What its provider may bill is paid for, recorded, and settled with its deployment.
    assert ("one" in by_credential) == is_billed
    failed = by_credential["one"].cost_nanousd if is_billed else 0
    assert (failed > 0) == is_billed
    assert gateway.spent() == COST_NANOUSD + failed
    assert bool(gateway.taken("one#small").get("tokens")) == is_billed
    assert [each.deployment for each in gateway.logged().attempts] == ["one#small", "two#small"]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_request_that_reached_nobody_is_given_back(is_streamed: bool) -> None:
    gateway = MemoryGateway(*TWO, budget_nanousd=10**12)
    for alias in ("one", "two"):
        gateway.script.replies[alias] = [ProviderUnavailableError("no route", was_sent=False)]
    with pytest.raises(NoProviderError):
        gateway.stream() if is_streamed else gateway.complete()
    assert (gateway.counted(), gateway.spent()) == (0, 0)
    assert (gateway.taken("one#small"), gateway.records.added) == ({}, [])
    assert [each.result for each in gateway.logged().attempts] == ["Unavailable", "Unavailable"]


def test_a_request_that_reached_a_provider_counts_though_nobody_answered() -> None:
    gateway = MemoryGateway(*TWO, budget_nanousd=10**12)
    gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
    gateway.script.replies["two"] = [ProviderUnavailableError("no route", was_sent=False)]
    with pytest.raises(NoProviderError):
        gateway.stream()
    [failed] = gateway.records.added
    assert (failed.credential, failed.is_error) == ("one", True)
    assert (gateway.counted(), gateway.spent()) == (1, failed.cost_nanousd)


def test_what_a_provider_refuses_for_the_request_s_own_fault_asks_nobody_else() -> None:
    gateway = MemoryGateway(*TWO)
    gateway.script.replies["one"] = [ProviderRejectedError("no", status=400)]
    with pytest.raises(InvalidRequestError):
        gateway.complete()
    assert (gateway.asked(), gateway.counted()) == (["one"], 1)


def test_a_fault_of_sluice_s_own_settles_too() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    gateway.script.replies["one"] = [RuntimeError("a bug")]
    with pytest.raises(RuntimeError):
        gateway.complete()
    assert gateway.spent() == 0
    assert gateway.complete(metadata={"sluice_conversation_id": "c-1"}).body == body()


def test_deployments_that_are_passed_over_are_noted_with_their_reasons() -> None:
    narrow = entry("one", small=model(limits={"requests_per_minute": 1}))
    gateway = MemoryGateway(narrow, entry("two"), is_routing_enabled=False)
    gateway.complete()
    gateway.complete(skip_cache=True)
    noted = [(each.deployment, each.result) for each in gateway.logged().attempts]
    assert noted == [("one#small", "out of requests_per_minute"), ("two#small", "answered")]


def test_nobody_with_quota_left_is_a_429_that_gives_back_the_request() -> None:
    gateway = MemoryGateway(entry("one", small=model(limits={"requests_per_minute": 1})), budget_nanousd=10**12)
    gateway.complete()
    with pytest.raises(QuotaExceededError):
        gateway.complete(skip_cache=True)
    assert (gateway.asked(), gateway.counted(), gateway.spent()) == (["one"], 1, COST_NANOUSD)
    [skipped] = gateway.logged().attempts
    assert (skipped.deployment, skipped.result) == ("one#small", "out of requests_per_minute")


def test_who_is_out_of_budget_asks_nobody() -> None:
    gateway = MemoryGateway(budget_nanousd=1)
    with pytest.raises(QuotaExceededError) as raised:
        gateway.complete()
    assert raised.value.code == "insufficient_quota"
    assert (gateway.asked(), gateway.counted(), gateway.taken("one#small")) == ([], 0, {})
