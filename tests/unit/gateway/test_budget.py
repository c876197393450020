"""Reservations of several scopes at once, by processes that die at any moment, in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import QuotaExceededError
from sluice.gateway.budget import (
    BudgetReservation,
    CallCost,
    SpendDemand,
    SpendScope,
    Spent,
    spend_limits,
    spend_scopes,
)
from sluice.quota.estimate import TokenEstimate
from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET
from sluice.quota.scopes import key_spend_scope, user_spend_scope
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role, SpendLimits, Tenant
from tests.examples import examples
from tests.executors import Inline
from tests.fakes.dynamodb import MemoryDynamoDB

NOW_S = 1_790_000_000.0
SCOPES = {
    "The tenant": SpendLimits(9_000),
    "The API key": SpendLimits(6_000, tokens_per_day=9_000),
    "The user": SpendLimits(3_000, tokens_per_minute=4_000),
}


def cost(estimated: int, most: int, tokens: int, *, is_guess: bool = False) -> CallCost:
    return CallCost(estimated_nanousd=estimated, most_nanousd=most, tokens=TokenEstimate(tokens, 1), is_guess=is_guess)


@dataclass
class World:
    """Some processes, their table, and what their provider has billed."""

    dynamodb: MemoryDynamoDB = field(default_factory=MemoryDynamoDB)
    billed: int = 0

    def __post_init__(self) -> None:
        self.ledgers = [self.process() for _ in range(3)]
        self.scopes = [SpendScope(whose, whose, spend_limits(limits)) for whose, limits in SCOPES.items()]

    def process(self) -> Ledger:
        """One that has seen nothing."""
        return Ledger("quota", lambda: NOW_S, client=self.dynamodb)

    def begin(self, ledger: Ledger, call: CallCost, scopes: Iterable[SpendScope] = ()) -> BudgetReservation:
        """Reserve for a call."""
        demands = [SpendDemand(scope, call) for scope in scopes or self.scopes]
        return BudgetReservation(ledger, demands, Inline())

    def used(self, name: str = BUDGET) -> dict[str, int]:
        """What counts of a limit, by scope, as a fresh process sees it."""
        ledger = self.process()
        seen = ledger.look_at([scope.name for scope in self.scopes])
        return {
            scope.name: seen[scope.name].status(limit, ledger.now_ms()).used if scope.name in seen else 0
            for scope in self.scopes
            for limit in scope.limits
            if limit.name == name
        }


def close(budget: BudgetReservation) -> None:
    for task in budget.closing().values():
        task()


@settings(max_examples=examples(30))
@given(st.integers(0, 2**32))
def test_no_budget_is_overrun_whatever_becomes_of_calls(seed: int) -> None:
    random, world = Random(seed), World()
    under_way: list[tuple[BudgetReservation, int]] = []
    unsettled = 0
    for _ in range(60):
        if under_way and random.random() < 0.5:
            budget, actual = under_way.pop(random.randrange(len(under_way)))
            fate = random.choices(("settled", "killed", "failed"), (8, 1, 1))[0]
            if fate == "killed":
                unsettled += 1
                world.billed += actual
                continue
            if fate == "failed":
                # It may have been billed, and is asked for once more, or not, for want of budget.
                world.billed += actual
                budget.charge(Spent(actual, actual))
                try:
                    budget.wait()
                except QuotaExceededError:
                    close(budget)
                    continue
            world.billed += actual
            budget.charge(Spent(actual, actual))
            close(budget)
        else:
            most = random.randint(1, 900)
            estimated = random.randint(1, most)
            actual = random.randint(0, estimated)
            budget = world.begin(random.choice(world.ledgers), cost(estimated, most, estimated))
            try:
                budget.wait()
            except QuotaExceededError:
                close(budget)
                continue
            under_way.append((budget, actual))
    for limits in SCOPES.values():
        assert world.billed <= (limits.budget_nanousd or 0)
    for budget, actual in under_way:
        world.billed += actual
        budget.charge(Spent(actual, actual))
        close(budget)
    used = world.used()
    assert all(units >= world.billed for units in used.values())
    if not unsettled:
        assert set(used.values()) == {world.billed}


@settings(max_examples=examples(20))
@given(st.integers(0, 2**32))
def test_one_call_after_the_other_overruns_no_budget_by_an_estimate_that_was_too_low(seed: int) -> None:
    random, world = Random(seed), World()
    for _ in range(60):
        estimated = random.randint(1, 200)
        most = random.randint(estimated, 10 * estimated)
        budget = world.begin(random.choice(world.ledgers), cost(estimated, most, estimated))
        try:
            budget.wait()
        except QuotaExceededError:
            close(budget)
            continue
        actual = random.randint(0, most)
        world.billed += actual
        budget.charge(Spent(actual, estimated))
        close(budget)
    assert set(world.used().values()) == {world.billed}
    assert 2_000 < world.billed <= 3_000


@settings(max_examples=examples(20))
@given(st.integers(0, 2**32))
def test_a_refused_request_uses_nothing_of_any_limit(seed: int) -> None:
    random, world = Random(seed), World()
    spender = world.begin(world.ledgers[0], cost(random.randint(2_000, 3_000), 3_000, 10))
    spender.wait()
    before = [world.used(name) for name in (BUDGET, "tokens_per_minute", "tokens_per_day")]
    for ledger in world.ledgers:
        refused = world.begin(ledger, cost(1_500, 1_500, 10))
        with pytest.raises(QuotaExceededError, match=r"^The user "):
            refused.wait()
        close(refused)
        assert [world.used(name) for name in (BUDGET, "tokens_per_minute", "tokens_per_day")] == before
    spender.charge(Spent(5, 7))
    close(spender)
    assert world.used() == {"The tenant": 5, "The API key": 5, "The user": 5}
    assert world.used("tokens_per_minute") == {"The user": 7}


@pytest.mark.parametrize(
    ("call", "said", "code", "may_wait"),
    [
        (
            cost(3_500, 3_500, 10),
            "The user has too small a limit of dollars per month for this: $0.000002 of $0.000003 is left, and this "
            "costs about $0.0000035.",
            "insufficient_quota",
            False,
        ),
        (
            cost(2_500, 2_500, 10),
            "The user is out of dollars per month: $0.000002 of $0.000003 is left, and this costs about $0.0000025. "
            "Try again in ",
            "insufficient_quota",
            True,
        ),
        (
            cost(500, 2_500, 10),
            "The user has $0.000002 left this month, and this may cost $0.0000025: lower max_tokens, or try again in ",
            "insufficient_quota",
            False,
        ),
        (
            cost(500, 9_000, 10),
            "The user has $0.000002 left this month, and this may cost $0.000009: lower max_tokens.",
            "insufficient_quota",
            False,
        ),
        (
            cost(500, 500, 3_500),
            "The user is out of tokens per minute: 2999 of 4000 are left, and this may take 3501. Try again in ",
            "rate_limit_exceeded",
            True,
        ),
        (
            cost(500, 500, 4_500),
            "The user has too small a limit of tokens per minute for this: 2999 of 4000 are left, and this may take "
            "4501: send less, or lower max_tokens.",
            "rate_limit_exceeded",
            False,
        ),
    ],
)
def test_a_refusal_says_whose_limit_it_is_what_is_left_and_when_it_comes_free(
    call: CallCost, said: str, code: str, may_wait: bool
) -> None:
    world = World()
    world.begin(world.ledgers[0], cost(1_000, 1_000, 1_000)).wait()
    refused = world.begin(world.process(), call, world.scopes[2:])
    with pytest.raises(QuotaExceededError) as raised:
        refused.wait()
    assert said in raised.value.message
    assert (raised.value.code, raised.value.retry_after_s is not None) == (code, may_wait)


def test_tokens_that_are_only_guessed_are_no_more_than_the_limit_leaves() -> None:
    world = World()
    guessed = CallCost(estimated_nanousd=1, most_nanousd=1, tokens=TokenEstimate(1_000, 50_000), is_guess=True)
    first = world.begin(world.ledgers[0], guessed, world.scopes[2:])
    first.wait()
    assert world.used("tokens_per_minute") == {"The user": 4_000}
    first.charge(Spent(1, 4_321))  # it turned out longer
    close(first)
    assert world.used("tokens_per_minute") == {"The user": 4_321}
    with pytest.raises(QuotaExceededError, match="The user is out of tokens per minute: 0 of 4000 are left"):
        world.begin(world.ledgers[1], guessed, world.scopes[2:]).wait()


def test_limits_are_the_key_s_own_before_the_tenant_s_and_users_are_told_apart() -> None:
    tenant = Tenant("acme", "ACME", user_limits={"budget_nanousd": 5, "tokens_per_day": 6})

    def scopes(user: str, **key: Any) -> list[tuple[str, tuple[tuple[str, int], ...]]]:
        principal = Principal(ApiKey("k", "acme", Role.CALLER, "n", **key), tenant)
        return [
            (scope.whose, tuple((limit.name, limit.capacity) for limit in scope.limits))
            for scope in spend_scopes(principal, user)
        ]

    assert scopes("") == []
    assert scopes("ada") == [("The user", (("tokens_per_day", 6), (BUDGET, 5)))]
    assert scopes("ada", user_limits={"budget_nanousd": 9}) == [("The user", (("tokens_per_day", 6), (BUDGET, 9)))]
    assert scopes("ada", tokens_per_minute=3)[0] == ("The API key", (("tokens_per_minute", 3),))
    principal = Principal(ApiKey("k", "acme", Role.CALLER, "n"), tenant)
    names = {spend_scopes(principal, user)[-1].name for user in ("grace", "bob")}
    assert len(names) == 2
    assert not any("grace" in name for name in names)


def test_what_costs_no_dollars_is_let_in_though_the_budget_is_overrun() -> None:
    world = World()
    key = world.scopes[1:2]
    spender = world.begin(world.ledgers[0], cost(500, 500, 10), key)
    spender.wait()
    spender.charge(Spent(9_000, 10))
    close(spender)
    with pytest.raises(QuotaExceededError, match=r"\$0 of \$0\.000006 is left"):
        world.begin(world.ledgers[0], cost(500, 500, 10), key).wait()
    world.begin(world.ledgers[0], cost(0, 0, 10), key).wait()
    assert world.used("tokens_per_day") == {"The API key": 21}


def test_operators_are_told_of_a_key_that_runs_out_and_not_of_each_user(caplog: pytest.LogCaptureFixture) -> None:
    world, limits = World(), spend_limits(SpendLimits(1_000))
    key, user = key_spend_scope("acme", "k"), user_spend_scope("acme", "k", "ada")
    budget = world.begin(
        world.ledgers[0],
        cost(950, 950, 1),
        [SpendScope("The API key", key, limits), SpendScope("The user", user, limits)],
    )
    budget.wait()
    told = [record.__dict__["scope"] for record in caplog.records if record.message == "quota nearly used up"]
    assert told == [key]
