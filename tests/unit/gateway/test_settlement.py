"""Settlement of requests: what the ledger, usage records, the cache, conversations and traces have of them."""

from concurrent.futures import Future
from decimal import Decimal
from typing import Any

import pytest

from sluice.cache.store import CachedAnswer
from sluice.chat import Usage
from sluice.errors import (
    GuardBlockedError,
    InvalidRequestError,
    NoProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
)
from sluice.providers.base import RateLimitHeaders
from sluice.quota.limits import BUDGET
from sluice.quota.scopes import deployment_scope, key_spend_scope
from sluice.request_log.record import RequestOutcome, RequestRecord
from sluice.request_log.trace import RequestTrace
from sluice.tenants.tenant import GuardModel, GuardModels
from tests.credentials import PRICE, model
from tests.gateways import COST_NANOUSD, USAGE, MemoryGateway, Reply, body, entry

BUDGETED: dict[str, Any] = {"budget_nanousd": 10**12}
FREE = {"prompt_usd": 0.0, "completion_usd": 0.0}
TIERED = {**PRICE, "service_tiers": {"flex": {"prompt_usd": 0.5, "completion_usd": 1.0}}}
UNPRICED = {name: value for name, value in model().items() if name != "price"}
SAYS_COSTS = {**entry("one", small=UNPRICED), "provider": "custom_gateway"}


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def answered(gateway: MemoryGateway, reply: Reply, **fields: Any) -> None:
    """Let a request be answered with a reply."""
    gateway.script.replies["one"] = [reply]
    gateway.complete(**fields)


def in_conversation(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"sluice_conversation_id": "c-1"}, **fields}


# ---- What is reserved ----


def reserved(gateway: MemoryGateway, scope: str = "tenant#acme", **fields: Any) -> dict[str, int]:
    """What is reserved of a scope while the provider is asked."""
    seen: list[dict[str, int]] = []

    def reply() -> Reply:
        seen.append(gateway.used(scope))
        return Reply()

    gateway.script.replies["one"] = [reply]
    gateway.complete(**fields, skip_cache=True)
    return seen[0]


def test_the_dearest_deployment_that_may_answer_is_reserved_for() -> None:
    alone = reserved(MemoryGateway(**BUDGETED), max_tokens=100)[BUDGET]
    dear = model("smart", price={"prompt_usd": 10.0, "completion_usd": 20.0})
    stand_ins = MemoryGateway(entry("two", large=dear), entry("one"), fallbacks={"small": ("large",)}, **BUDGETED)
    assert reserved(stand_ins, max_tokens=100)[BUDGET] == 10 * alone
    # So is what a call can cost at most, where little is left.
    fields = {"max_tokens": 100, **said("Hello there, world. " * 10)}
    estimated = reserved(MemoryGateway(budget_nanousd=10**7), **fields)[BUDGET]
    most = reserved(MemoryGateway(budget_nanousd=10**6), **fields)[BUDGET]
    assert most > estimated
    stand_ins = MemoryGateway(
        entry("two", large=dear), entry("one"), fallbacks={"small": ("large",)}, budget_nanousd=10**7
    )
    assert reserved(stand_ins, **fields)[BUDGET] == 10 * most
    assert reserved(MemoryGateway(**BUDGETED), max_tokens=200)[BUDGET] == alone + 100 * 2_000


def test_tokens_are_reserved_for_who_needs_most_of_them() -> None:
    spend = key_spend_scope("acme", "key00001")
    key: dict[str, Any] = {"tokens_per_minute": 10**6}
    alone = reserved(MemoryGateway(key=key), spend)["tokens_per_minute"]
    brief = entry("two", brief=model(max_completion_tokens=10))
    both = MemoryGateway(entry("one"), brief, key=key, fallbacks={"small": ("brief",)})
    assert reserved(both, spend)["tokens_per_minute"] == alone
    both = MemoryGateway(entry("one", brief=model(max_completion_tokens=10)), entry("two"), key=key)
    fields = {"model": "brief"}
    assert reserved(both, spend, **fields)["tokens_per_minute"] == alone


def test_who_has_little_left_reserves_what_a_call_can_cost_at_most() -> None:
    fields = {**said("Hello there, world"), "max_tokens": 10}
    usual = reserved(MemoryGateway(**BUDGETED), **fields)[BUDGET]
    most = reserved(MemoryGateway(budget_nanousd=9 * usual), **fields)[BUDGET]
    assert most > usual


def test_what_is_to_be_cached_is_reserved_at_what_that_may_cost() -> None:
    part = {"type": "text", "text": "Hello there, world", "cache_control": {"type": "ephemeral"}}
    marked = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 10}
    plain = {**said("Hello there, world"), "max_tokens": 10}
    writes = {**PRICE, "cache_write_usd": 1.5, "long_cache_write_usd": 3.0}

    def most(price: dict[str, Any], fields: dict[str, Any]) -> int:
        marking = {**entry("one", small=model(price=price)), "allowed_fields": ["messages.cache_control"]}
        return reserved(MemoryGateway(marking, budget_nanousd=700_000), **fields)[BUDGET]

    completion_nanousd = 10 * 2_000
    assert most(writes, marked) - completion_nanousd == 3 * (most(PRICE, marked) - completion_nanousd)
    assert most(writes, plain) == most(PRICE, plain)


def test_a_guess_of_the_answer_s_length_is_no_reason_to_refuse_and_a_stated_one_is() -> None:
    key: dict[str, Any] = {"tokens_per_minute": 200}
    assert MemoryGateway(key=key).complete().body == body()
    with pytest.raises(QuotaExceededError):
        MemoryGateway(key=key).complete(max_tokens=300)


def test_what_is_free_takes_from_no_budget_and_still_from_limits_of_tokens() -> None:
    free = entry("one", small=model(price=FREE))
    spend = key_spend_scope("acme", "key00001")
    gateway = MemoryGateway(free, budget_nanousd=0, key={"tokens_per_minute": 10**6})
    gateway.complete()
    assert (gateway.spent(), gateway.used(spend)) == (0, {"tokens_per_minute": 15})
    assert "tenant#acme" not in gateway.dynamodb.items


def test_who_has_no_limit_reserves_nothing() -> None:
    gateway = MemoryGateway()
    gateway.complete()
    assert sorted(gateway.dynamodb.items) == ["caller#acme#key00001", "deployment#one#small"]


# ---- What an answer used ----


def test_without_a_count_what_was_reserved_counts_as_used() -> None:
    gateway = MemoryGateway(**BUDGETED)
    answered(gateway, Reply(body=body(usage=None)), max_tokens=100)
    [record] = gateway.records.added
    assert record.usage.completion_tokens == 100
    assert record.usage.prompt_tokens > 40
    assert (gateway.spent(), gateway.taken("one#small")["tokens"]) == (record.cost_nanousd, record.usage.total_tokens)


def test_without_a_count_what_can_be_seen_counts_where_it_is_more() -> None:
    gateway = MemoryGateway(**BUDGETED)
    answered(gateway, Reply(body=body("word " * 400, usage=None)), max_tokens=100)
    assert gateway.records.added[0].usage.completion_tokens > 390


def test_what_can_be_seen_is_counted_as_it_is_written_and_not_as_json_escapes_it() -> None:
    gateway = MemoryGateway()
    answered(gateway, Reply(body=body("日本語" * 100, usage=None)), max_tokens=1)
    assert 100 < gateway.records.added[0].usage.completion_tokens < 900


@pytest.mark.parametrize(
    ("prompt", "completion", "choices", "is_believed"),
    [
        (10, 5, None, True),
        (900, 100, None, True),
        (900, 101, None, False),
        (900, 1_100, 2, True),
        (900, 1_101, 2, False),
    ],
)
def test_a_count_beyond_what_the_model_takes_is_not_believed(
    prompt: int, completion: int, choices: int | None, is_believed: bool
) -> None:
    gateway = MemoryGateway(entry("one", small=model(context_window=1_000)))
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    answered(gateway, Reply(body=body(usage=usage)), max_tokens=50, **({"n": choices} if choices else {}))
    [record] = gateway.records.added
    assert (record.usage == Usage(prompt, completion)) == is_believed
    assert is_believed or record.usage.completion_tokens == 50 * (choices or 1)


def test_the_characters_of_an_answer_are_settled_where_they_are_limited() -> None:
    limits = {"requests_per_minute": 10, "characters_per_month": 10**6}
    gateway = MemoryGateway(entry("one", small=model(limits=limits)))
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"},
        {"index": 2, "message": None, "finish_reason": "stop"},
        {"index": 3, "message": {"role": "assistant", "content": "sixsix"}, "finish_reason": "stop"},
    ]
    answered(gateway, Reply(body={"choices": choices, "usage": USAGE}), **said("12345"))
    assert gateway.used(deployment_scope("one#small"))["characters_per_month"] == 5 + 4 + 6


def test_what_no_answer_can_be_read_of_is_settled_as_it_was_reserved() -> None:
    """A stream may have come to something that nobody expects: it is paid for all the same."""
    limits = {"requests_per_minute": 10, "characters_per_month": 10**6}
    gateway = MemoryGateway(entry("one", small=model(limits=limits)), **BUDGETED)
    number = {"choices": [{"index": 0, "message": {"role": "assistant", "content": 7}}]}
    gateway.script.replies["one"] = [Reply(body=number)]
    gateway.complete(**said("12345"), max_tokens=100)
    [record] = gateway.records.added
    assert record.usage.completion_tokens == 100
    assert gateway.spent() == record.cost_nanousd
    assert gateway.used(deployment_scope("one#small"))["characters_per_month"] == 5


def test_what_a_deployment_s_headers_say_is_learned() -> None:
    gateway = MemoryGateway()
    headers = RateLimitHeaders(remaining={"requests_per_minute": 40})
    answered(gateway, Reply(rate_limits=headers))
    assert gateway.taken("one#small")["requests"] == 60


# ---- What it cost ----


@pytest.mark.parametrize(
    ("asked", "given", "nanousd"),
    [
        (None, None, COST_NANOUSD),
        ("flex", None, COST_NANOUSD // 2),
        (None, "flex", COST_NANOUSD // 2),
        ("flex", "default", COST_NANOUSD),
    ],
)
def test_an_answer_costs_what_its_service_tier_does(asked: str | None, given: str | None, nanousd: int) -> None:
    gateway = MemoryGateway(entry("one", small=model(price=TIERED)), **BUDGETED)
    tier: dict[str, Any] = {"service_tier": given} if given else {}
    reply = Reply(body=body(**tier))
    answered(gateway, reply, **({"service_tier": asked} if asked else {}))
    assert (gateway.records.added[0].cost_nanousd, gateway.spent()) == (nanousd, nanousd)


def test_a_call_of_a_service_tier_is_reserved_and_charged_as_such() -> None:
    tiered = entry("one", small=model(price=TIERED))
    usual = reserved(MemoryGateway(tiered, **BUDGETED), max_tokens=100)[BUDGET]
    assert reserved(MemoryGateway(tiered, **BUDGETED), max_tokens=100, service_tier="flex")[BUDGET] == usual // 2
    scarce: dict[str, Any] = {"budget_nanousd": 9 * usual}
    most = reserved(MemoryGateway(tiered, **scarce), max_tokens=100)[BUDGET]
    assert reserved(MemoryGateway(tiered, budget_nanousd=4 * usual), max_tokens=100, service_tier="flex")[BUDGET] == (
        most // 2
    )
    costs = []
    for fields in ({}, {"service_tier": "flex"}):
        gateway = MemoryGateway(tiered, **BUDGETED)
        gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
        with pytest.raises(NoProviderError):
            gateway.complete(max_tokens=100, **fields)
        costs.append(gateway.spent())
        request, context = gateway.request({"max_tokens": 100, **fields}), gateway.context({})
        assert gateway.gateway.check(request, gateway.principal, context) == costs[-1]
    assert costs == [usual, usual // 2]


@pytest.mark.parametrize(("says_usd", "nanousd"), [(Decimal("0.003"), 3_000_000), (None, 0)])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_has_no_price_costs_what_its_provider_says(
    says_usd: Decimal | None, nanousd: int, is_streamed: bool
) -> None:
    gateway = MemoryGateway(SAYS_COSTS)
    gateway.script.replies["one"] = [Reply(cost_usd=says_usd)]
    if is_streamed:
        gateway.read()
    else:
        assert gateway.complete().provenance.cost_usd == says_usd
    assert gateway.records.added[0].cost_nanousd == nanousd


def test_a_price_counts_before_what_a_provider_says() -> None:
    gateway = MemoryGateway({**entry("one"), "provider": "custom_gateway"}, **BUDGETED)
    answered(gateway, Reply(cost_usd=Decimal(1)))
    assert gateway.spent() == COST_NANOUSD


# ---- Failed calls ----


def test_each_call_that_may_be_billed_is_recorded_once_however_the_request_ends() -> None:
    two = (entry("one"), entry("two"))
    for is_answered in (False, True):
        gateway = MemoryGateway(*two, **BUDGETED)
        gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
        gateway.script.replies["two"] = [Reply() if is_answered else ProviderTimeoutError("slow")]
        if is_answered:
            gateway.complete(**in_conversation())
        else:
            with pytest.raises(NoProviderError):
                gateway.complete(**in_conversation())
        found = sorted((record.credential, record.is_error) for record in gateway.records.added)
        assert found == [("one", True), ("two", not is_answered)]
        assert gateway.spent() == sum(record.cost_nanousd for record in gateway.records.added)
        failed = next(record for record in gateway.records.added if record.credential == "one")
        assert failed.usage.prompt_tokens > 0
        assert failed.usage.completion_tokens > 0


def test_a_failed_call_is_not_recorded_again_where_an_answer_is_asked_for_once_more() -> None:
    gateway = MemoryGateway(entry("one"), entry("two"))
    gateway.script.replies["one"] = [ProviderTimeoutError("slow"), Reply(body=body("{}"))]
    gateway.script.replies["two"] = [Reply(body=body("no JSON")), Reply(body=body("{}"))]
    gateway.complete(response_format={"type": "json_object"})
    assert [record.is_error for record in gateway.records.added].count(True) == 2
    assert len(gateway.records.added) == 3


def test_the_tokens_of_failed_calls_count_against_limits_of_tokens() -> None:
    gateway = MemoryGateway(entry("one"), entry("two"), key={"tokens_per_day": 10**6})
    gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
    gateway.complete(max_tokens=100)
    failed = next(record for record in gateway.records.added if record.is_error)
    used = gateway.used(key_spend_scope("acme", "key00001"))
    assert used == {"tokens_per_day": failed.usage.total_tokens + 15}


# ---- The cache ----


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


# ---- Conversations ----


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


# ---- What is survived ----


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


# ---- Records and traces ----


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


def test_what_is_foreseen_is_what_a_request_would_be_estimated_at() -> None:
    gateway = MemoryGateway(**BUDGETED)
    request = gateway.request({"max_tokens": 100})
    deployment = gateway.registry.deployments[0]
    tokens = gateway.settlement.foreseen_tokens(deployment, request)
    assert tokens.completion_tokens == 100
    nanousd = gateway.settlement.foreseen_nanousd(deployment, request)
    assert nanousd == tokens.prompt_tokens * 1_000 + 100 * 2_000
    assert reserved(gateway, max_tokens=100)[BUDGET] == nanousd


def test_a_stated_limit_beyond_the_model_s_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        MemoryGateway(entry("one", small=model(max_completion_tokens=100))).complete(max_tokens=101)
