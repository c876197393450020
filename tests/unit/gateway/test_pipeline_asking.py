"""How a deployment is asked, and what is answered without a model."""

from typing import Any

import pytest

from sluice.chat import ResponseFormat
from sluice.conversations.conversation import TaskCall
from sluice.errors import (
    DeadlineExceededError,
    GuardBlockedError,
    NoProviderError,
    NotFoundError,
    ProviderUnavailableError,
)
from sluice.routing.deadline import Deadline
from tests.credentials import model
from tests.gateways import ATTACK, MemoryGateway, entry
from tests.scripted_providers import Reply, body

SCHEMA = ResponseFormat(type="json_schema", json_schema={"name": "a", "schema": {"type": "object"}})


def sent(gateway: MemoryGateway, **fields: Any) -> dict[str, Any]:
    """The fields that the provider saw."""
    gateway.complete(**fields, skip_cache=True)
    return gateway.script.calls[-1].request.model_dump(exclude_unset=True, exclude={"messages", "model"})


def test_the_default_temperature_is_asked_of_who_takes_one() -> None:
    assert sent(MemoryGateway(default_temperature=0.5)) == {"temperature": 0.5}
    assert sent(MemoryGateway(default_temperature=0.5), temperature=0.0) == {"temperature": 0.0}
    without = entry("one", small=model(unsupported_fields=["temperature"]))
    assert sent(MemoryGateway(without, default_temperature=0.5)) == {}
    hugging_face = {**entry("one"), "provider": "anthropic", "models": {"claude-haiku-5-5": {}}}
    assert sent(MemoryGateway(hugging_face, default_temperature=0.5), model="claude-haiku-5-5") == {}


def test_the_format_that_a_task_prefers_is_asked_of_who_takes_one() -> None:
    takes = {**entry("one"), "provider": "vllm"}
    gateway = MemoryGateway(takes)
    gateway.script.replies["one"] = [Reply(body=body("{}"))]
    assert sent(gateway, preferred_format=SCHEMA)["response_format"] == SCHEMA.model_dump()
    assert sent(MemoryGateway(), preferred_format=SCHEMA) == {}
    assert sent(MemoryGateway(takes)) == {}


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        ({"max_tokens": 2_000}, {"max_tokens": 1_280, "max_completion_tokens": None}),
        ({"max_completion_tokens": 2_000}, {"max_tokens": 1_280, "max_completion_tokens": None}),
        ({"max_tokens": 1_280}, {"max_tokens": 1_280}),
        ({"max_tokens": 1_281}, {"max_tokens": 1_280, "max_completion_tokens": None}),
        ({}, {}),
    ],
)
def test_a_slow_model_is_asked_for_no_more_than_it_has_time_for(limits: dict[str, int], seen: dict[str, Any]) -> None:
    slow = {**entry("one"), "provider": "local", "models": {"smollm2-135m-instruct": {}}}
    assert sent(MemoryGateway(slow), model="smollm2-135m-instruct", **limits) == seen


def test_a_task_s_format_and_a_slow_model_s_limit_go_together() -> None:
    slow = {**entry("one"), "provider": "local", "models": {"smollm2-135m-instruct": {}}}
    gateway = MemoryGateway(slow)
    gateway.script.replies["one"] = [Reply(body=body("{}"))]
    fields = sent(gateway, model="smollm2-135m-instruct", max_tokens=2_000, preferred_format=SCHEMA)
    assert (fields["max_tokens"], fields["response_format"]) == (1_280, SCHEMA.model_dump())


def test_a_request_that_asks_no_model_is_counted_judged_and_recorded() -> None:
    gateway = MemoryGateway()
    request = gateway.request({"metadata": {"sluice_user": "ada"}})
    context = gateway.context({})
    shown = gateway.gateway.record_without_model(request, gateway.principal, context, source="question-bank")
    assert (shown.cache, shown.request_id, shown.caller_limit and shown.caller_limit.remaining) == ("hit", "req_1", 99)
    [record] = gateway.records.added
    assert (record.provider, record.model, record.user, record.is_cache_hit) == ("sluice", "question-bank", "ada", True)
    logged = gateway.logged()
    assert (logged.provider, logged.model, logged.cache, logged.user) == ("sluice", "question-bank", "hit", "ada")
    with pytest.raises(GuardBlockedError):
        gateway.gateway.record_without_model(
            gateway.request({"messages": ATTACK}), gateway.principal, context, source="x"
        )
    assert (gateway.counted(), len(gateway.records.added), gateway.asked()) == (2, 1, [])


def test_a_check_says_what_a_request_would_cost_and_spends_nothing() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12, default_max_tokens=100)
    cost = gateway.gateway.check(gateway.request({}), gateway.principal, gateway.context({}))
    dearer = gateway.gateway.check(gateway.request({"max_tokens": 200}), gateway.principal, gateway.context({}))
    assert dearer - cost == 100 * 2_000
    with pytest.raises(GuardBlockedError):
        gateway.gateway.check(gateway.request({"messages": ATTACK}), gateway.principal, gateway.context({}))
    with pytest.raises(NotFoundError):
        gateway.gateway.check(gateway.request({"model": "nobody"}), gateway.principal, gateway.context({}))
    assert (gateway.counted(), gateway.spent(), gateway.records.added, gateway.asked()) == (0, 0, [], [])


def test_the_tokens_of_a_prompt_are_estimated_where_it_would_be_sent_and_where_it_is_too_long_for() -> None:
    gateway = MemoryGateway(entry("one", small=model(context_window=100)))

    def tokens(text: str, name: str = "small") -> int:
        request = gateway.request({"model": name, "messages": [{"role": "user", "content": text}]})
        return gateway.gateway.prompt_tokens(request, gateway.principal, gateway.context({}))

    assert 0 < tokens("Hello") < tokens("Hello, how is the weather today?") < 100
    assert tokens("Hello there. " * 1_000) > 1_000
    with pytest.raises(NotFoundError):
        tokens("Hello", "nobody")
    assert (gateway.counted(), gateway.asked()) == (0, [])


def test_the_turn_of_a_task_is_claimed_for_all_that_it_asks() -> None:
    gateway = MemoryGateway()
    call = TaskCall("explanation", {"a": 1})
    turn = gateway.gateway.claim_turn("c-1", gateway.request({}), gateway.principal, gateway.context({}), call)
    gateway.complete(turn=turn)
    assert gateway.conversations.claimed.keys() == {"c-1"}
    turn.complete(body())
    [kept] = gateway.conversations.turns["c-1"]
    assert kept.made_of == call


def test_what_auto_was_answered_by_counts_for_the_shares_of_models() -> None:
    scarce, other = entry("one", large=model("smart")), entry("two", other=model("smart"))
    gateway = MemoryGateway(scarce, other, environment={"SMART_MODELS": "large,other", "SMART_MODEL_MAX_PERCENT": "90"})
    hard = {"model": "auto", "messages": [{"role": "user", "content": "Analyze and compare these. " * 40}]}
    for _ in range(21):
        gateway.complete(**hard, skip_cache=True, no_store=True)
    # Of fewer than twenty requests a share says nothing.
    assert gateway.asked() == [*["one"] * 20, "two"]


def test_no_time_left_is_an_error_before_anybody_is_asked() -> None:
    gateway = MemoryGateway(budget_nanousd=10**12)
    with pytest.raises((NoProviderError, DeadlineExceededError)):
        gateway.complete(deadline=Deadline.after(0.1))
    assert (gateway.asked(), gateway.counted(), gateway.spent()) == ([], 0, 0)


@pytest.mark.parametrize(("asked_s", "told_s"), [(20.5, 21), (0.0, 0), (1e300, 86_400), (None, None)])
def test_a_caller_is_told_to_wait_as_its_provider_asks_and_for_a_day_at_most(
    asked_s: float | None, told_s: int | None
) -> None:
    gateway = MemoryGateway()
    gateway.script.replies["one"] = [ProviderUnavailableError("down", status=503, retry_after_s=asked_s)] * 2
    with pytest.raises(NoProviderError) as raised:
        gateway.complete()
    assert raised.value.retry_after_s == told_s
