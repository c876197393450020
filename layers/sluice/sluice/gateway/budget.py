"""Reservation of a tenant's budget for one request."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from sluice.errors import QuotaExceededError
from sluice.gateway.counting import denied
from sluice.money import to_usd
from sluice.quota.estimate import needs_upper_bound
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import BUDGET, budget_limit
from sluice.quota.reservation import Reservation
from sluice.quota.scopes import tenant_scope
from sluice.quota.status import NEVER_USED, QuotaSnapshot
from sluice.telemetry import best_effort


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDemand:
    """What one call may cost a tenant with a budget, in billionths of a dollar: as estimated, and at most."""

    tenant: str
    budget_nanousd: int
    estimated_nanousd: int
    most_nanousd: int

    def reserve(self, ledger: Ledger) -> Reservation:
        """Reserve what is estimated, or the most where so little is left that a low estimate could overrun the budget.

        Raises QuotaExceededError, LedgerUnavailableError.
        """
        scope = tenant_scope(self.tenant)
        with best_effort("reading a budget"):
            ledger.prefetch((scope,))
        if not self._is_scarce(self._left(ledger, ledger.seen(scope))):
            reservation = self._take(ledger, self.estimated_nanousd)
            if not self._is_scarce(self._left(ledger, reservation.snapshot) + self.estimated_nanousd):
                return reservation
            # Others have spent what was seen.
            ledger.give_back(reservation)
        return self._take(ledger, max(self.estimated_nanousd, self.most_nanousd))

    def _is_scarce(self, left_nanousd: int) -> bool:
        return needs_upper_bound(left_nanousd, self.estimated_nanousd)

    def _left(self, ledger: Ledger, seen: QuotaSnapshot | None) -> int:
        return (seen or NEVER_USED).status(budget_limit(self.budget_nanousd), ledger.now_ms()).remaining

    def _take(self, ledger: Ledger, nanousd: int) -> Reservation:
        scope = tenant_scope(self.tenant)
        try:
            return ledger.reserve(scope, (budget_limit(self.budget_nanousd),), {BUDGET: nanousd})
        except QuotaDeniedError as refused:
            left = self._left(ledger, ledger.seen(scope))
            if left < self.estimated_nanousd:
                raise denied(refused, "The tenant", "insufficient_quota") from refused
            raise QuotaExceededError(
                f"The tenant has ${to_usd(left):f} left this month, and this may cost ${to_usd(nanousd):f}: "
                "lower max_tokens.",
                retry_after_s=None,
                code="insufficient_quota",
            ) from refused


class BudgetReservation:
    """The dollars reserved for one call at a time, charged with what calls cost, and settled when closed.

    `reserve` takes what one call may cost; it begins at once, in `executor`. Without it there is no budget to keep.
    """

    def __init__(self, ledger: Ledger, reserve: Callable[[], Reservation] | None, executor: Executor) -> None:
        self._ledger = ledger
        self._reserve = reserve
        self._reserving: Future[Reservation] | None = executor.submit(reserve) if reserve else None
        self._charged_nanousd = 0

    @property
    def reservation(self) -> Reservation | None:
        """What is reserved, None if nothing is or that is not known yet."""
        reserving = self._reserving
        if reserving is None or not reserving.done() or reserving.exception() is not None:
            return None
        return reserving.result()

    def wait(self) -> None:
        """Wait until there is budget for one more call: a call that failed may have cost what was reserved for it.

        Raises QuotaExceededError when the budget is gone, LedgerUnavailableError.
        """
        if self._reserving is None or self._reserve is None:
            return
        self._reserving.result()
        if self._charged_nanousd:
            self.close()
            self._reserving = Future()
            try:
                self._reserving.set_result(self._reserve())
            except BaseException as error:
                self._reserving.set_exception(error)
                raise

    def charge(self, nanousd: int) -> None:
        """Count what a call cost, or may have cost, in billionths of a dollar."""
        self._charged_nanousd += nanousd

    def close(self) -> None:
        """Settle: what was reserved and not charged goes back. There is nothing to settle if reserving failed."""
        if self._reserving is not None and self._reserving.exception() is None:
            with best_effort("settling a budget"):
                self._ledger.settle(self._reserving.result(), {BUDGET: self._charged_nanousd})
        self._charged_nanousd = 0
