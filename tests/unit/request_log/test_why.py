"""Why requests came out as they did, in words, and by whose fault."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.request_log.record import Attempted, RequestOutcome, RequestRecord
from sluice.request_log.why import Cause, cause_of, why

ANSWERED = RequestRecord(
    request_id="req_1",
    tenant="acme",
    caller="k1",
    route="createChatCompletion",
    outcome=RequestOutcome.ANSWERED,
    status=200,
    asked_model="auto",
    model="llama-8b",
    deployment="groq-2#llama-8b",
    tier="fast",
    complexity="simple",
    cache="miss",
    asks=1,
    attempts=(Attempted("groq-2#llama-8b", "answered", 388),),
)
RATE_LIMITED = Attempted("groq-1#llama-8b", "RateLimited", 212, 429)


def refused(status: int, code: str, **more: Any) -> RequestRecord:
    outcome = RequestOutcome.REFUSED if status < 500 else RequestOutcome.FAILED
    reason = more.pop("reason", "A reason.")
    record = replace(ANSWERED, status=status, error_code=code, outcome=outcome, reason=reason, attempts=(), model="")
    return replace(record, **more)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (ANSWERED, "auto had the choice: for a simple request it came to llama-8b of tier fast."),
        (replace(ANSWERED, asked_model="llama-8b"), "llama-8b was asked for, and answered."),
        (replace(ANSWERED, asked_model="gemini"), "gemini was asked for, and llama-8b stood in for it."),
        (
            replace(ANSWERED, cache="hit", attempts=()),
            "Answered from the cache: the same had been answered before, so no model was asked.",
        ),
        (replace(ANSWERED, model="", attempts=(), deployment=""), "Answered without asking a model."),
        (
            replace(
                ANSWERED,
                asked_model="llama-8b",
                attempts=(
                    RATE_LIMITED,
                    Attempted("groq-3#llama-8b", "out of tokens_per_minute"),
                    *ANSWERED.attempts,
                ),
            ),
            "llama-8b was asked for, and answered. "
            "groq-1#llama-8b was over a limit of its provider (429) after 212 ms. "
            "groq-3#llama-8b was out of tokens per minute. groq-2#llama-8b answered in 388 ms.",
        ),
        (refused(429, "insufficient_quota", reason="The budget is used up."), "The budget is used up."),
        (
            refused(503, "no_provider_available", reason="No provider could answer.", attempts=(RATE_LIMITED,)),
            "No provider could answer. groq-1#llama-8b was over a limit of its provider (429) after 212 ms.",
        ),
        (refused(500, "internal_error", reason=""), "It failed."),
    ],
)
def test_a_request_says_why_it_came_out_as_it_did(record: RequestRecord, said: str) -> None:
    assert why(record) == said


def test_of_many_deployments_some_are_named() -> None:
    many = tuple(Attempted(f"groq-{number}#m", "circuit open") for number in range(8))
    assert "groq-2#m" in why(replace(ANSWERED, attempts=(*many, *ANSWERED.attempts)))
    assert "groq-3#m" not in why(replace(ANSWERED, attempts=(*many, *ANSWERED.attempts)))
    assert "5 more" in why(replace(ANSWERED, attempts=(*many, *ANSWERED.attempts)))


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (ANSWERED, Cause.ANSWERED),
        (replace(ANSWERED, cache="hit", attempts=()), Cause.ANSWERED),
        (replace(ANSWERED, outcome=RequestOutcome.ABANDONED), Cause.ANSWERED),
        (replace(ANSWERED, attempts=(Attempted("a#m", "circuit open"), *ANSWERED.attempts)), Cause.ANSWERED),
        (replace(ANSWERED, attempts=(RATE_LIMITED, *ANSWERED.attempts)), Cause.FELL_BACK),
        (refused(429, "rate_limit_exceeded"), Cause.LIMIT),
        (refused(429, "insufficient_quota"), Cause.LIMIT),
        (refused(400, "prompt-injection", guard_rules=("prompt-injection",)), Cause.GUARD),
        (refused(503, "guard-model-unavailable"), Cause.GUARD),
        (refused(400, "invalid_request"), Cause.CALLER),
        (refused(404, "model_not_found"), Cause.CALLER),
        (refused(409, "conflict"), Cause.CALLER),
        (refused(503, "no_provider_available"), Cause.PROVIDER),
        (refused(502, "invalid_answer", outcome=RequestOutcome.WITHHELD), Cause.PROVIDER),
        (replace(ANSWERED, outcome=RequestOutcome.INTERRUPTED), Cause.PROVIDER),
        (refused(504, "deadline_exceeded", attempts=(replace(RATE_LIMITED, result="Timeout"),)), Cause.PROVIDER),
        (refused(504, "deadline_exceeded"), Cause.SLUICE),
        (refused(503, "storage_unavailable"), Cause.SLUICE),
        (refused(500, "internal_error"), Cause.SLUICE),
    ],
)
def test_a_request_counts_once_by_whose_fault_it_was(record: RequestRecord, cause: Cause) -> None:
    assert cause_of(record) is cause


@given(
    outcome=st.sampled_from(RequestOutcome),
    status=st.sampled_from([200, 400, 404, 429, 500, 502, 503, 504]),
    code=st.sampled_from(["", "rate_limit_exceeded", "no_provider_available", "prompt-injection"]),
    results=st.lists(st.tuples(st.sampled_from(["answered", "Timeout", "circuit open", "Strange"]), st.integers(0, 9))),
)
def test_every_request_has_a_sentence_and_a_cause(
    outcome: RequestOutcome, status: int, code: str, results: list[tuple[str, int]]
) -> None:
    attempts = tuple(Attempted(f"d{number}#m", *each) for number, each in enumerate(results))
    record = replace(ANSWERED, outcome=outcome, status=status, error_code=code, attempts=attempts)
    assert cause_of(record) in set(Cause)
    assert why(record).endswith(".")
