"""Streams on their way to the caller: what of them is shown, and what is settled however they end."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from sluice.chat import JsonObject, Usage
from sluice.errors import (
    GuardBlockedError,
    InterruptedAnswerError,
    InvalidAnswerError,
    ProviderProtocolError,
    ProviderUnavailableError,
)
from sluice.request_log.record import RequestOutcome
from tests.credentials import model
from tests.gateways import COST_NANOUSD, MemoryGateway, entry
from tests.scripted_providers import USAGE, Reply, body

BUDGET = 10**12


def chunk(text: str | None = None, *, finish: str | None = None, **more: Any) -> JsonObject:
    delta = {} if text is None else {"content": text}
    return {"id": "c-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


END = chunk(finish="stop", usage=USAGE)
UNPRICED = {name: value for name, value in model().items() if name != "price"}
SAYS_COSTS = {**entry("one", small=UNPRICED), "provider": "custom_gateway"}


def streaming(*chunks: JsonObject, error: BaseException | None = None, **tenant: Any) -> MemoryGateway:
    """A gateway whose provider streams these chunks, and breaks off with an error."""
    gateway = MemoryGateway(budget_nanousd=BUDGET, **tenant)
    gateway.script.replies["one"] = [Reply(chunks=chunks, error=error)]
    return gateway


def texts(chunks: list[JsonObject]) -> str:
    found = (choice["delta"].get("content") or "" for each in chunks for choice in each.get("choices") or [])
    return "".join(found)


def was_closed(gateway: MemoryGateway) -> bool:
    return [stream.closed for stream in gateway.script.streams] == [1]


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_usage_is_shown_to_who_asks_for_it_and_settled_anyhow(is_asked_for: bool) -> None:
    usage = {"id": "c-1", "choices": [], "usage": USAGE}
    gateway = streaming(chunk("Hi", usage=None), chunk(finish="stop", usage=None), usage)
    shown = gateway.read(stream_options={"include_usage": is_asked_for})
    assert texts(shown) == "Hi"
    assert [each.get("usage", "none") for each in shown] == ([None, None, USAGE] if is_asked_for else ["none"] * 2)
    assert (gateway.spent(), was_closed(gateway)) == (COST_NANOUSD, True)


def test_a_stream_that_breaks_off_says_so_and_is_settled_as_reserved() -> None:
    gateway = streaming(chunk("Once upon a time "), error=ProviderUnavailableError("lost"))
    stream = gateway.stream(max_tokens=100, metadata={"sluice_conversation_id": "c-1"}).chunks
    with pytest.raises(InterruptedAnswerError, match="one#small broke off: lost"):
        list(stream)
    stream.close()
    [record] = gateway.records.added
    assert (record.is_error, record.usage.completion_tokens) == (True, 100)
    assert gateway.logged().outcome is RequestOutcome.INTERRUPTED
    assert (gateway.conversations.claimed, gateway.cache.answers, was_closed(gateway)) == ({}, {}, True)
    # The deployment has failed, which its health shows.
    seen = gateway.ledger.seen("deployment#one#small")
    assert seen is not None
    assert seen.circuit.failures == 1


def test_what_a_stream_counted_before_it_broke_off_is_no_count_of_the_whole() -> None:
    gateway = streaming(chunk("Once", usage=USAGE), chunk("upon", finish="stop"), error=ProviderProtocolError("lost"))
    with suppress(InterruptedAnswerError):
        gateway.read(max_tokens=100)
    assert gateway.records.added[0].usage.completion_tokens == 100


def test_a_caller_who_hangs_up_pays_for_what_was_reserved() -> None:
    gateway = streaming(chunk("Once ", usage=USAGE), chunk("upon "), END)
    stream = gateway.stream(max_tokens=100).chunks
    next(iter(stream))
    stream.close()
    stream.close()
    assert list(stream) == []
    [record] = gateway.records.added
    assert (record.is_error, record.usage.completion_tokens) == (True, 100)
    assert (gateway.logged().outcome, was_closed(gateway)) == (RequestOutcome.ABANDONED, True)


def test_a_caller_who_hangs_up_once_all_is_there_pays_for_what_was_counted() -> None:
    gateway = streaming(chunk("Hi", finish="stop", usage=USAGE), chunk(" there" * 100))
    stream = gateway.stream(max_tokens=100).chunks
    next(iter(stream))
    stream.close()
    assert gateway.records.added[0].usage == Usage(10, 5)


def test_a_caller_who_hangs_up_while_one_choice_goes_on_pays_for_what_was_reserved() -> None:
    other = {"index": 1, "delta": {"content": "Ho"}, "finish_reason": None}
    both = chunk("Hi", finish="stop", usage=USAGE)
    both["choices"].append(other)
    gateway = streaming(both, chunk("ho"))
    stream = gateway.stream(max_tokens=100, n=2).chunks
    next(iter(stream))
    stream.close()
    assert gateway.records.added[0].usage.completion_tokens == 200


@pytest.mark.parametrize("is_read", [False, True])
def test_only_who_answered_to_the_end_is_asked_what_that_cost(is_read: bool) -> None:
    gateway = MemoryGateway(SAYS_COSTS)
    gateway.script.replies["one"] = [Reply(chunks=[chunk("Hi"), END], cost_usd=Decimal(1))]
    stream = gateway.stream().chunks
    if is_read:
        list(stream)
    stream.close()
    assert gateway.records.added[0].cost_nanousd == (10**9 if is_read else 0)


def test_all_that_a_provider_said_is_shown_where_it_does_not_say_that_it_ends() -> None:
    gateway = streaming(
        chunk("Good "), chunk("morning to you all, my friends."), guard_modes={"personal-email": "block"}
    )
    assert texts(gateway.read()) == "Good morning to you all, my friends."


def test_a_stream_that_was_never_begun_is_settled_when_it_is_closed() -> None:
    gateway = streaming(chunk("Hi"), END)
    gateway.stream(max_tokens=100).chunks.close()
    assert gateway.records.added[0].usage.completion_tokens == 100
    assert (gateway.logged().outcome, was_closed(gateway)) == (RequestOutcome.ABANDONED, True)


def test_a_stream_that_breaks_a_rule_ends_there() -> None:
    modes = {"personal-email": "block"}
    gateway = streaming(chunk("Write to "), chunk("ada@example.com now."), END, guard_modes=modes)
    with pytest.raises(GuardBlockedError):
        gateway.read()
    assert gateway.logged().outcome is RequestOutcome.WITHHELD
    assert gateway.cache.answers == {}


def test_what_rules_flag_in_a_stream_is_noted() -> None:
    gateway = streaming(chunk("Write to ada@example.com."), END, guard_modes={"personal-email": "flag"})
    assert texts(gateway.read()) == "Write to ada@example.com."
    assert gateway.logged().guard_rules == ("personal-email",)


@pytest.mark.parametrize("form", [{"response_format": {"type": "json_object"}}, {}])
def test_a_stream_that_is_not_the_json_asked_for_is_an_error_at_its_end(form: dict[str, Any]) -> None:
    gateway = streaming(chunk("no JSON"), END)
    if form:
        with pytest.raises(InvalidAnswerError, match="not the JSON that was asked for"):
            gateway.read(**form)
        assert gateway.logged().outcome is RequestOutcome.WITHHELD
        # It came to its end, so that its count is that of the whole.
        assert gateway.spent() == COST_NANOUSD
    else:
        gateway.read()
        assert gateway.logged().outcome is RequestOutcome.ANSWERED


@pytest.mark.parametrize("content", ["no JSON", None])
def test_calls_of_tools_need_be_no_json(content: str | None) -> None:
    call = {"index": 0, "id": "t-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    delta = {"tool_calls": [call], "content": content}
    first = {"id": "c-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    gateway = streaming(first, chunk(finish="tool_calls", usage=USAGE))
    gateway.read(response_format={"type": "json_object"})
    assert gateway.logged().outcome is RequestOutcome.ANSWERED


def test_a_choice_that_says_nothing_need_be_no_json() -> None:
    gateway = streaming(chunk(), END)
    gateway.read(response_format={"type": "json_object"})
    assert gateway.logged().outcome is RequestOutcome.ANSWERED


def test_a_fault_of_sluice_s_own_settles_the_stream() -> None:
    gateway = streaming(chunk("Hi"), error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        gateway.read(max_tokens=100)
    assert gateway.logged().outcome is RequestOutcome.INTERRUPTED
    assert gateway.records.added[0].usage.completion_tokens == 100


def test_a_stream_that_cannot_be_put_together_is_settled() -> None:
    gateway = streaming({"id": "c-1", "choices": [{"index": 0, "delta": {"tool_calls": [7]}}]}, END)
    with suppress(AttributeError, TypeError):
        gateway.read(max_tokens=100)
    assert gateway.records.added[0].usage.completion_tokens == 100
    assert was_closed(gateway)


def test_a_stream_is_cached_as_the_whole_answer_that_it_came_to() -> None:
    gateway = streaming(chunk("Good "), chunk("morning."), END)
    gateway.read()
    answer = gateway.complete()
    assert answer.provenance.cache == "hit"
    assert answer.body["choices"] == body()["choices"]
