"""Reservation of a tenant's budget for one request."""

from collections.abc import Callable
from concurrent.futures import Executor, Future

from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET
from sluice.quota.reservation import Reservation
from sluice.telemetry import best_effort


class BudgetReservation:
    """The dollars reserved for one call at a time, charged with what calls cost, and settled when closed.

    `reserve` takes what one call may cost; it begins at once, in `executor`. Without it there is no budget to keep.
    """

    def __init__(self, ledger: Ledger, reserve: Callable[[], Reservation] | None, executor: Executor) -> None:
        self._ledger = ledger
        self._reserve = reserve
        self._reserving: Future[Reservation] | None = executor.submit(reserve) if reserve else None
        self._charged_nanousd = 0

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
