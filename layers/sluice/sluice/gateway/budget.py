"""Budgets: whose dollars and tokens a request takes from, and the reservation of what it may spend of each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial

from sluice.catalog.money import to_usd
from sluice.errors import QuotaExceededError
from sluice.gateway.background import Task
from sluice.gateway.counting import denied
from sluice.loading.dataclass import dataclass
from sluice.quota.estimate import TokenEstimate, fitted, needs_upper_bound
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import BUDGET, SPEND_WINDOWS, Limit, LimitStatus, budget_limit, token_limit
from sluice.quota.reservation import Reservation
from sluice.quota.scopes import key_spend_scope, tenant_scope, user_spend_scope
from sluice.quota.status import NEVER_USED, QuotaSnapshot
from sluice.quota.wait_words import in_words
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import SpendLimits


@dataclass(frozen=True, slots=True)
class SpendScope:
    """A scope with limits of what may be spent. `whose` begins what is said of a refusal."""

    whose: str
    name: str
    limits: tuple[Limit, ...]

    @property
    def budget(self) -> Limit | None:
        """Its limit of dollars."""
        return next((limit for limit in self.limits if limit.name == BUDGET), None)

    @property
    def token_limits(self) -> tuple[Limit, ...]:
        """Its limits of tokens."""
        return tuple(limit for limit in self.limits if limit.name != BUDGET)


def spend_limits(limits: SpendLimits) -> tuple[Limit, ...]:
    """The ledger's limits."""
    tokens = ((name, getattr(limits, name)) for name in SPEND_WINDOWS)
    found = tuple(token_limit(name, capacity) for name, capacity in tokens if capacity is not None)
    return found if limits.budget_nanousd is None else (*found, budget_limit(limits.budget_nanousd))


def spend_scopes(principal: Principal, user: str) -> tuple[SpendScope, ...]:
    """Those that have limits, of a request for `user`, "" for none: the tenant's first, the user's last."""
    return tuple(scope for scope in _scopes(principal, user) if scope.limits)


def has_budget(principal: Principal, user: str) -> bool:
    """Whether dollars are counted against any budget."""
    return any(scope.budget for scope in spend_scopes(principal, user))


def _scopes(principal: Principal, user: str) -> Iterator[SpendScope]:
    tenant, key = principal.tenant, principal.key
    of_tenant = spend_limits(SpendLimits(budget_nanousd=tenant.budget_nanousd))
    yield SpendScope("The tenant", tenant_scope(tenant.id), of_tenant)
    yield SpendScope("The API key", key_spend_scope(tenant.id, principal.caller_id), spend_limits(key.spend_limits))
    if user:
        name = user_spend_scope(tenant.id, principal.caller_id, user)
        yield SpendScope("The user", name, spend_limits(principal.user_spend_limits))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """What one call may cost: billionths of a dollar, as estimated and at most, and tokens as estimated.

    `is_guess`: the request does not say how long its answer may be.
    """

    estimated_nanousd: int
    most_nanousd: int
    tokens: TokenEstimate
    is_guess: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls cost, or may have cost: billionths of a dollar, and tokens."""

    nanousd: int = 0
    tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.nanousd + other.nanousd, self.tokens + other.tokens)

    def units(self) -> dict[str, int]:
        """By limit."""
        return {BUDGET: self.nanousd, **dict.fromkeys(SPEND_WINDOWS, self.tokens)}


@dataclass(frozen=True, slots=True)
class SpendDemand:
    """What one call may take from the limits of one scope."""

    scope: SpendScope
    cost: CallCost

    def reserve(self, ledger: Ledger) -> Reservation:
        """Reserve what is estimated, or the most where so little is left that a low estimate could overrun the budget.

        Tokens are reserved as estimated: what of them is only guessed is no reason to refuse a request for ever. Raises
        QuotaExceededError, LedgerUnavailableError.
        """
        with best_effort("reading a budget"):
            ledger.prefetch((self.scope.name,))
        estimated, most = self.cost.estimated_nanousd, max(self.cost.estimated_nanousd, self.cost.most_nanousd)
        if not most or self.scope.budget is None:
            return self._take(ledger, 0)
        if not self._is_scarce(self._left(ledger, self.scope.budget)):
            reservation = self._take(ledger, estimated)
            if not self._is_scarce(self._left(ledger, self.scope.budget, reservation.snapshot) + estimated):
                return reservation
            # Others have spent what was seen.
            ledger.give_back(reservation)
        return self._take(ledger, most)

    def _is_scarce(self, left_nanousd: int) -> bool:
        return needs_upper_bound(left_nanousd, self.cost.estimated_nanousd)

    def _left(self, ledger: Ledger, limit: Limit, seen: QuotaSnapshot | None = None) -> int:
        return self._status(ledger, limit, seen).remaining

    def _status(self, ledger: Ledger, limit: Limit, seen: QuotaSnapshot | None = None) -> LimitStatus:
        return (seen or ledger.seen(self.scope.name) or NEVER_USED).status(limit, ledger.now_ms())

    def _tokens(self, ledger: Ledger) -> int:
        """The tokens to reserve: where the answer's are a guess, no more of them than the limits leave."""
        tokens = self.cost.tokens
        statuses = [self._status(ledger, limit) for limit in self.scope.token_limits]
        if self.cost.is_guess and statuses:
            tokens = fitted(tokens, min(each.capacity for each in statuses), min(each.remaining for each in statuses))
        return tokens.total_tokens

    def _take(self, ledger: Ledger, nanousd: int) -> Reservation:
        tokens = self._tokens(ledger)
        costs = {limit.name: tokens for limit in self.scope.token_limits}
        if nanousd:
            costs[BUDGET] = nanousd
        try:
            return ledger.reserve(self.scope.name, self.scope.limits, costs)
        except QuotaDeniedError as refused:
            raise self._refusal(ledger, refused, costs) from refused

    def _refusal(self, ledger: Ledger, refused: QuotaDeniedError, costs: dict[str, int]) -> QuotaExceededError:
        limit = next((each for each in self.scope.limits if each.name == refused.denial.limit), None)
        if limit is None:
            return denied(refused, self.scope.whose, "rate_limit_exceeded")
        status, whose = self._status(ledger, limit), self.scope.whose
        if costs.get(limit.name, 0) > status.capacity:
            # What was remembered of another request's refusal says when that one would fit.
            refused = QuotaDeniedError(refused.scope, replace(refused.denial, retry_after_ms=None))
        wait_ms = refused.denial.retry_after_ms
        if limit.name != BUDGET:
            said = f"{status.remaining} of {status.capacity} are left, and this may take {costs.get(limit.name, 0)}"
            if wait_ms is None:
                said += ": send less, or lower max_tokens"
            return denied(refused, whose, "rate_limit_exceeded", said)
        if status.remaining < self.cost.estimated_nanousd:
            said = (
                f"{_dollars(status.remaining)} of {_dollars(status.capacity)} is left, and this costs about "
                f"{_dollars(self.cost.estimated_nanousd)}"
            )
            return denied(refused, whose, "insufficient_quota", said)
        later = f", or try again in {in_words(-(-wait_ms // 1000))}" if wait_ms is not None else ""
        return QuotaExceededError(
            f"{whose} has {_dollars(status.remaining)} left this month, and this may cost "
            f"{_dollars(costs.get(BUDGET, 0))}: lower max_tokens{later}.",
            retry_after_s=None,
            code="insufficient_quota",
        )


def _dollars(nanousd: int) -> str:
    return f"${to_usd(nanousd):f}"


class _ScopeReservation:
    """What is reserved of one scope for one call at a time."""

    def __init__(self, ledger: Ledger, demand: SpendDemand, executor: Executor) -> None:
        self.scope = demand.scope
        self._ledger = ledger
        self._demand = demand
        self._executor = executor
        self.reserving: Future[Reservation] = executor.submit(demand.reserve, ledger)

    def renew(self, spent: Spent) -> None:
        """Begin to settle what is reserved, and to reserve anew."""
        self.reserving = self._executor.submit(self._settle_and_reserve, self.reserving.result(), spent)

    def close(self, spent: Spent) -> None:
        """Settle what is reserved. There is nothing to settle if reserving failed."""
        if self.reserving.exception() is None:
            self._settle(self.reserving.result(), spent)

    def _settle_and_reserve(self, reservation: Reservation, spent: Spent) -> Reservation:
        self._settle(reservation, spent)
        return self._demand.reserve(self._ledger)

    def _settle(self, reservation: Reservation, spent: Spent) -> None:
        with best_effort("settling a budget"):
            self._ledger.settle(reservation, spent.units())


class BudgetReservation:
    """What is reserved of each scope for one call at a time, charged with what calls cost, and settled when closed.

    It begins at once, for all scopes side by side, in `executor`. Without demands there is nothing to keep.
    """

    def __init__(self, ledger: Ledger, demands: Sequence[SpendDemand], executor: Executor) -> None:
        self._scopes = [_ScopeReservation(ledger, demand, executor) for demand in demands]
        self._spent = Spent()

    def of_tenant(self, tenant: str) -> Reservation | None:
        """What is reserved of the tenant's budget, None if nothing is or that is not known yet."""
        for each in self._scopes:
            if each.scope.name == tenant_scope(tenant):
                is_known = each.reserving.done() and each.reserving.exception() is None
                return each.reserving.result() if is_known else None
        return None

    def wait(self) -> None:
        """Wait until there is enough for one more call: a call that failed may have cost what was reserved for it.

        Raises QuotaExceededError when some limit is used up, LedgerUnavailableError.
        """
        self._wait()
        if self._spent != Spent():
            for each in self._scopes:
                each.renew(self._spent)
            self._spent = Spent()
            self._wait()

    def charge(self, spent: Spent) -> None:
        """Count what a call cost, or may have cost."""
        self._spent += spent

    def closing(self) -> dict[str, Task]:
        """What settles each scope, by name, at once and once: what was reserved and not charged goes back."""
        spent, self._spent = self._spent, Spent()
        return {f"settling a budget: {each.scope.whose}": partial(each.close, spent) for each in self._scopes}

    def _wait(self) -> None:
        for each in self._scopes:
            each.reserving.result()
