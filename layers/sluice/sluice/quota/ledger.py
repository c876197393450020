"""The quota ledger: reservations and settlements as conditional writes on DynamoDB items.

Sluice's promise rests here: whatever is admitted was counted first, whatever is refused was not, and every doubt is
resolved towards having counted too much. What is decided is decided in this package's pure modules; here their steps
are put together and carried out.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping

from aws_lambda_powertools import Logger

from sluice.errors import LedgerUnavailableError, StorageUnavailableError
from sluice.quota import marks
from sluice.quota.circuit import USUAL_BREAKER, Breaker, Verdict
from sluice.quota.clock import REPORTED_MS, Moment, moment
from sluice.quota.item import BlockReason, QuotaItem
from sluice.quota.learning import Lesson, learn, suspect
from sluice.quota.leftover import kept_free_percent
from sluice.quota.limits import Denial, Limit
from sluice.quota.memory import Memory
from sluice.quota.reservation import Reservation
from sluice.quota.reserving import Reserver, UndecidedError
from sluice.quota.scopes import is_of_user
from sluice.quota.settlement import Usage
from sluice.quota.settling import Settler, everywhere
from sluice.quota.status import QuotaSnapshot, alerts_due
from sluice.quota.steps import write
from sluice.quota.table import Client, QuotaTable
from sluice.quota.taking import Demand
from sluice.quota.viewing import prefetch, view
from sluice.storage.client import dynamodb
from sluice.storage.update import Update
from sluice.telemetry.best_effort import best_effort
from sluice.telemetry.metrics import emit_metric

logger = Logger(child=True)


class QuotaDeniedError(Exception):
    """A reservation was refused, and took nothing."""

    def __init__(self, scope: str, denial: Denial) -> None:
        super().__init__(f"{scope}: {denial.limit}")
        self.scope = scope
        self.denial = denial


class Ledger:
    """Reserves from and settles with the Quota table. Safe to share between threads."""

    def __init__(
        self,
        table: str,
        clock: Callable[[], float] = time.time,
        *,
        client: Client | None = None,
        breaker: Breaker = USUAL_BREAKER,
    ) -> None:
        self._client = client or dynamodb()
        self._breaker = breaker
        self._clock = clock
        self._table = QuotaTable(self._client, table)
        self._memory = Memory()
        # From the operating system: functions restored from one snapshot would all choose the same shards.
        self._reserver = Reserver(self._memory, self.moment, random.SystemRandom())
        self._settler = Settler(self._memory, self.moment, breaker)
        self._has_reported_clock = False

    def moment(self) -> Moment:
        """The ledger's time, by this process's clock and what DynamoDB's answers say of it."""
        now = moment(int(self._clock() * 1000), self._client.clock.bounds_ms())
        if abs(now.offset_ms) > REPORTED_MS and not self._has_reported_clock:
            self._has_reported_clock = True
            logger.warning("this clock is wrong", extra={"behind_dynamodb_ms": now.offset_ms})
            emit_metric("ClockCorrected")
        return now

    def now_ms(self) -> int:
        """The ledger's time: UTC milliseconds since the epoch."""
        return self.moment().likely_ms

    def seen(self, scope: str) -> QuotaSnapshot | None:
        """What this process last saw of `scope`, without asking DynamoDB."""
        known = self._memory.find(scope)
        seen = known.latest if known else None
        return QuotaSnapshot(seen.item, known.layout.count, self._breaker) if known and seen else None

    def prefetch(self, scopes: Iterable[str], at_most_ms: int = 60_000) -> None:
        """See those of `scopes` that this process has not seen for `at_most_ms`. Raises StorageUnavailableError."""
        now_ms = self.now_ms()
        self._table.run(prefetch(self._memory, tuple(scopes), now_ms, now_ms - at_most_ms))

    def look_at(self, scopes: Iterable[str]) -> dict[str, QuotaSnapshot]:
        """What the table has of `scopes` now, but for those never reserved from. Raises StorageUnavailableError."""
        found = self._table.run(view(tuple(dict.fromkeys(scopes))))
        return {scope: QuotaSnapshot(item, breaker=self._breaker) for scope, item in found.items()}

    def reserve(self, scope: str, limits: tuple[Limit, ...], costs: Mapping[str, int]) -> Reservation:
        """Take `costs` (limit name -> units) from all `limits` of `scope`, or nothing at all.

        Within `leaving_free`, only what leaves that much free. Raises QuotaDeniedError, and LedgerUnavailableError when
        DynamoDB can't tell.
        """
        demand = Demand(limits, costs, kept_free_percent(), self._breaker)
        with best_effort("changing the number of shards"):
            self._table.run(self._reserver.spread(scope, demand))
        try:
            outcome = self._table.run(self._reserver.reserve(scope, demand))
        except (StorageUnavailableError, UndecidedError) as error:
            raise LedgerUnavailableError(f"no reservation could be made: {error}") from error
        if isinstance(outcome, Denial):
            raise QuotaDeniedError(scope, outcome)
        self._alert(outcome, limits)
        return outcome

    def check(self, scope: str, costs: Mapping[str, int]) -> None:
        """Refuse, without asking DynamoDB, what this process has just seen refused. Raises QuotaDeniedError."""
        denial = self._reserver.denial(scope, costs, kept_free_percent())
        if denial is not None:
            raise QuotaDeniedError(scope, denial)

    def is_fresh(self, reservation: Reservation) -> bool:
        """Whether what is sent now reaches a provider in time for how it was counted."""
        return reservation.is_fresh(self.moment())

    def settle(
        self,
        reservation: Reservation,
        actual: Mapping[str, int],
        notes: Mapping[str, float] | None = None,
        *,
        verdict: Verdict | None = None,
    ) -> None:
        """Correct `reservation` to what was `actual`ly used (limit name -> units); limits not named stay as reserved.

        `notes` are kept beside the limits, and `verdict` is for the circuit breaker. Settling twice does nothing the
        second time. Raises StorageUnavailableError; what was reserved then stays counted.
        """
        self._table.run(self._settler.settle(reservation, Usage(actual, notes or {}, verdict, self._breaker)))

    def give_back(self, reservation: Reservation) -> None:
        """Undo `reservation` entirely. Raises StorageUnavailableError."""
        self.settle(reservation, dict.fromkeys(reservation.taken, 0))

    def report_success(self, reservation: Reservation) -> None:
        """Close the circuit at once if `reservation` was its probe. Raises StorageUnavailableError."""
        self._table.run(self._settler.report_success(reservation))

    def block(self, scope: str, until_ms: int, reason: BlockReason = BlockReason.RATE_LIMITED) -> None:
        """Admit nothing to `scope` before `until_ms`; an earlier moment than is known already changes nothing.

        All processes see it. Raises StorageUnavailableError.
        """
        # Where the condition fails, it is blocked for longer already.
        now_ms = self.now_ms()
        self._everywhere(scope, lambda item: marks.blocking(until_ms, reason, item, now_ms), tries=1)

    def suspect(self, scope: str, tenant: str) -> bool:
        """Note that a request of `tenant` was refused the model. Returns whether another tenant's was, too, lately.

        Raises StorageUnavailableError.
        """
        return self._table.run(suspect(self._memory, scope, tenant, self.now_ms()))

    def learn(self, reservation: Reservation, lesson: Lesson) -> None:
        """Take to heart what a provider's headers said on the answer to `reservation`.

        A capacity other than the one in force replaces it; less remaining than the ledger knows of is taken from the
        current slice. Writes nothing when the provider agrees. Raises StorageUnavailableError.
        """
        self._table.run(learn(self._memory, reservation, lesson, self.now_ms()))

    def reshape(self, scope: str, shards: int) -> None:
        """Spread the counters of `scope` over so many items. Raises StorageUnavailableError."""
        self._table.run(self._reserver.reshape(scope, shards))

    def unblock(self, scope: str) -> None:
        """Forget what keeps requests from `scope`: blocks and failures. Raises StorageUnavailableError."""
        self._everywhere(scope, lambda _: marks.unblocking())

    def add_to_month(self, scope: str, limit: Limit, units: int) -> None:
        """Let `units` more than `limit` be used in this month; what was added before is replaced.

        Raises StorageUnavailableError.
        """
        now_ms = self.now_ms()
        self._everywhere(scope, lambda item: marks.adding(limit, units, item, now_ms))

    def restart_month(self, scope: str, limit: Limit) -> None:
        """Count the month anew from now on. Raises StorageUnavailableError."""
        now_ms = self.now_ms()
        self._everywhere(scope, lambda item: marks.restarting(limit, item, now_ms))

    def _everywhere(self, scope: str, make: Callable[[QuotaItem], Update | None], tries: int = 4) -> None:
        self._table.run(everywhere(self._memory, scope, make, self.now_ms(), tries=tries))

    def _alert(self, reservation: Reservation, limits: tuple[Limit, ...]) -> None:
        if reservation.shard.number or is_of_user(reservation.scope):
            return  # the first shard speaks for the others; that a user runs out is no operator's business
        for alert in alerts_due(limits, reservation.snapshot, self.now_ms()):
            with best_effort("alerting"):
                if self._table.run(write(reservation.key, marks.alerting(alert, reservation.item))).is_done:
                    fields = {"scope": reservation.scope, "limit": alert.limit, "percentage": alert.percentage}
                    logger.warning("quota nearly used up", extra=fields)
                    emit_metric("QuotaAlert", limit=alert.limit, percentage=str(alert.percentage))
