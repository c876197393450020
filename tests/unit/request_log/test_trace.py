"""What a trace makes of what was noted, and when it writes it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.errors import ProviderRateLimitedError
from sluice.request_log.record import Attempted, RequestOutcome, RequestRecord
from sluice.request_log.store import RepeatedRefusals
from sluice.request_log.trace import RequestTrace, Settled


def settled(outcome: RequestOutcome | None = RequestOutcome.ANSWERED, **more: Any) -> Settled:
    return Settled(outcome=outcome, complexity="simple", cache="miss", **more)


def trace(written: list[RequestRecord], **more: Any) -> RequestTrace:
    return RequestTrace(request_id="req_1", tenant="acme", caller="key", write=written.append, **more)


def test_calls_and_deployments_passed_over_are_in_the_order_in_which_they_came() -> None:
    each = RequestTrace()
    each.skipped([("a", "out of requests_per_minute")])
    with pytest.raises(ProviderRateLimitedError), each.calling("b"):
        raise ProviderRateLimitedError("no", status=429)
    each.skipped([("a", "out of requests_per_minute"), ("b", "RateLimited")])
    with each.calling("c"):
        pass
    attempts = each.record().attempts
    assert [(one.deployment, one.result, one.status) for one in attempts] == [
        ("a", "out of requests_per_minute", 0),
        ("b", "RateLimited", 429),
        ("c", "answered", 0),
    ]


def test_a_request_of_one_question_is_written_while_it_is_settled_and_once() -> None:
    written: list[RequestRecord] = []
    one = trace(written, asks_once=True)
    for task in one.settle(settled()).values():
        task()
    assert [each.outcome for each in written] == ["answered"]
    one.write_once()
    assert len(written) == 1


@pytest.mark.parametrize("outcome", [RequestOutcome.WITHHELD, RequestOutcome.INTERRUPTED, None])
def test_what_ends_in_an_error_is_written_when_the_error_is_known(outcome: RequestOutcome | None) -> None:
    written: list[RequestRecord] = []
    one = trace(written, asks_once=True)
    assert one.settle(settled(outcome)) == {}
    one.fail(502, "invalid_answer", "The answer was not what was asked for.")
    one.write_once()
    [record] = written
    assert record.outcome == (outcome or RequestOutcome.FAILED)
    assert (record.status, record.error_code) == (502, "invalid_answer")


def test_several_questions_are_one_record_with_what_they_took_together() -> None:
    written: list[RequestRecord] = []
    one = trace(written)
    assert one.settle(settled(deployment="a", prompt_tokens=3, cost_nanousd=5, guard_rules=("x", "y"))) == {}
    assert one.settle(settled(deployment="b", prompt_tokens=4, cost_nanousd=6, guard_rules=("y",))) == {}
    one.write_once()
    [record] = written
    assert (record.asks, record.deployment, record.prompt_tokens, record.cost_nanousd) == (2, "b", 7, 11)
    assert record.guard_rules == ("x", "y")


@pytest.mark.parametrize(("status", "outcome"), [(400, "refused"), (403, "refused"), (429, "refused"), (503, "failed")])
def test_a_request_that_never_got_to_a_model_is_refused_or_failed(status: int, outcome: str) -> None:
    one = RequestTrace()
    one.fail(status, "code", "Words.")
    assert one.record().outcome == outcome


def test_threads_may_note_at_once() -> None:
    one = RequestTrace()

    def note(number: int) -> None:
        with one.calling(str(number)):
            pass
        one.settle(settled(prompt_tokens=1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(200)))
    record = one.record()
    assert (len(record.attempts), record.prompt_tokens) == (200, 200)
    assert record.own_ms >= 0


def test_of_refusals_in_a_row_one_a_second_is_written_and_the_others_are_counted() -> None:
    refusals = RepeatedRefusals()

    def repeats(now_s: float, caller: str = "a", code: str = "rate_limit_exceeded") -> int | None:
        one = RequestTrace(tenant="acme", caller=caller)
        one.fail(429, code, "Words.")
        return refusals.repeats(one.record(), now_s)

    assert repeats(10.0) == 0
    assert [repeats(10.0 + part / 10) for part in range(1, 9)] == [None] * 8
    assert (repeats(10.5, caller="b"), repeats(10.5, code="insufficient_quota")) == (0, 0)
    assert repeats(11.0) == 8
    assert repeats(13.0) == 0
    # A clock that jumps back keeps nobody silent.
    assert repeats(2.0) == 0


def test_a_record_of_an_attempt_has_no_more_than_its_fields() -> None:
    assert Attempted("a", "answered") == Attempted("a", "answered", 0, 0)
