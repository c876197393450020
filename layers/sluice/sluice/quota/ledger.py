"""The quota ledger: reservations and settlements as conditional writes on one DynamoDB item per scope.

Sluice's promise rests here: whatever is admitted was counted first, whatever is refused was not, and every doubt is
resolved towards having counted too much.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from aws_lambda_powertools import Logger

from sluice.errors import LedgerUnavailableError, StorageUnavailableError
from sluice.quota.item import CODES, Reservation, admission_update, alert_update, read_state, settlement_update
from sluice.quota.limits import Admission, Denial, Limit, QuotaState, alerts_due, decide, unexplained_use
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import TypedItem
from sluice.storage.tables import QUOTA
from sluice.storage.update import Update
from sluice.telemetry import best_effort, emit_metric

logger = Logger(child=True)

# A failed condition brings the item as it is now, so a second try usually decides; more are needed only while many
# callers move the same item on to a new slice at once, and each round lets at least one of them through.
_MAX_TRIES = 24
_REMEMBERED_SCOPES = 4096


class QuotaDeniedError(Exception):
    """A reservation was refused, and took nothing."""

    def __init__(self, scope: str, denial: Denial) -> None:
        super().__init__(f"{scope}: {denial.limit}")
        self.scope = scope
        self.denial = denial


@dataclass(frozen=True, slots=True)
class Seen:
    """A scope as this process last saw it."""

    state: QuotaState
    notes: Mapping[str, float]


class Ledger:
    """Reserves from and settles with the Quota table. Safe to share between threads."""

    def __init__(self, table: str, clock: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._clock = clock
        self._client = client or dynamodb()
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._lock = Lock()

    def now_ms(self) -> int:
        """The ledger's time: UTC milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def seen(self, scope: str) -> Seen | None:
        """What this process last saw of `scope`, without asking DynamoDB."""
        return self._seen.get(scope)

    def look_at(self, scopes: Iterable[str]) -> dict[str, Seen]:
        """What the table has of `scopes` now, but for those never reserved from. Raises StorageUnavailableError."""
        keys = [QUOTA.key(scope) for scope in dict.fromkeys(scopes)]
        items = self._client.read_all(self._table, keys, consistently=True)
        return {item[QUOTA.partition]["S"]: Seen(*read_state(item)) for item in items}

    def reserve(self, scope: str, limits: tuple[Limit, ...], costs: Mapping[str, int], *, hold: bool) -> Reservation:
        """Take `costs` (limit name -> units) from all `limits` of `scope`, or nothing at all.

        `hold` marks the reservation in the item until it is settled, which makes taking it and settling it happen
        once, however often they are sent; it costs the item some bytes for as long.

        Raises QuotaDeniedError, and LedgerUnavailableError when DynamoDB can't tell.
        """
        reservation_id = secrets.token_hex(5)
        held_id = reservation_id if hold else None
        seen = self._seen.get(scope)
        is_current = False  # whether `seen` is as of now, so that a denial can be believed
        for _ in range(_MAX_TRIES):
            now_ms = self.now_ms()
            state = seen.state if seen else QuotaState()
            decision = decide(limits, costs, state, now_ms)
            if isinstance(decision, Denial):
                if is_current:
                    raise QuotaDeniedError(scope, decision)
                seen, is_current = self._read(scope), True
                continue
            update = admission_update(decision, limits, state, held_id, now_ms)
            with _refusing("no reservation could be made"):
                written, found = self._write(scope, update)
            seen, is_current = found, True
            # A condition that fails on our own mark is the second delivery of a write that succeeded.
            if written or (seen and reservation_id in seen.state.held):
                if seen is not None:
                    self._alert(scope, limits, seen.state, now_ms)
                return self._reservation(scope, reservation_id, hold, decision, seen or Seen(QuotaState(), {}))
        raise LedgerUnavailableError(f"no reservation in {_MAX_TRIES} tries: too many callers at once")

    def settle(
        self, reservation: Reservation, actual: Mapping[str, int], notes: Mapping[str, float] | None = None
    ) -> Seen | None:
        """Correct `reservation` to what was `actual`ly used (limit name -> units); limits not named stay as reserved.

        `notes` are kept beside the limits. Returns the scope as it is now, None if there was nothing left to settle.
        Settling twice does nothing the second time. Raises StorageUnavailableError; the reservation then stays
        counted until its slices expire.
        """
        seen = self._seen.get(reservation.scope)
        state = seen.state if seen and seen.state.version > reservation.state.version else reservation.state
        for _ in range(_MAX_TRIES):
            live = {
                name: name in state.counters and index in state.counters[name].slices
                for name, (index, _) in reservation.taken.items()
            }
            update = settlement_update(reservation, actual, live, notes or {})
            # Without a mark a second delivery can't be told from the first, so there must be none.
            written, found = self._write(reservation.scope, update, attempts=3 if reservation.is_held else 1)
            if written:
                return found
            if found is None or (reservation.is_held and reservation.id not in found.state.held):
                return None
            state = found.state
        logger.error("settlement gave up", extra={"scope": reservation.scope})
        emit_metric("BookkeepingFailed", action="settling")
        return None

    def give_back(self, reservation: Reservation) -> None:
        """Undo `reservation` entirely. Raises StorageUnavailableError."""
        self.settle(reservation, dict.fromkeys(reservation.taken, 0))

    def block(self, scope: str, until_ms: int) -> None:
        """Admit nothing to `scope` before `until_ms`; an earlier moment than is known already changes nothing."""
        update = Update()
        update.require_absent_or("blocked_until_ms", "<", until_ms)
        update.set("blocked_until_ms", until_ms)
        update.add("version", 1)
        self._write(scope, update)

    def learn(
        self,
        reservation: Reservation,
        limits: tuple[Limit, ...],
        capacities: Mapping[str, int],
        remaining: Mapping[str, int],
    ) -> None:
        """Take to heart what a provider's headers said on the answer to `reservation` (limit name -> units).

        A capacity other than the one in force replaces it; less remaining than the ledger knows of raises the
        current slice. Writes nothing when the provider agrees. Raises StorageUnavailableError.
        """
        for _ in range(_MAX_TRIES):
            seen = self._seen.get(reservation.scope)
            if seen is None:
                return
            update = _lesson(limits, capacities, remaining, reservation.state, seen.state, self.now_ms())
            if update is None:
                return
            written, _ = self._write(reservation.scope, update)
            if written:
                return

    def _alert(self, scope: str, limits: tuple[Limit, ...], state: QuotaState, now_ms: int) -> None:
        for alert in alerts_due(limits, state, now_ms):
            with best_effort("alerting"):
                is_first, _ = self._write(scope, alert_update(alert))
                if is_first:
                    fields = {"scope": scope, "limit": alert.limit, "percentage": alert.percentage}
                    logger.warning("quota nearly used up", extra=fields)
                    emit_metric("QuotaAlert", limit=alert.limit, percentage=str(alert.percentage))

    def _reservation(
        self, scope: str, reservation_id: str, hold: bool, admission: Admission, seen: Seen
    ) -> Reservation:
        taken = {step.name: (step.index, step.cost) for step in admission.steps}
        return Reservation(scope, reservation_id, hold, taken, seen.state, seen.notes)

    def _read(self, scope: str) -> Seen | None:
        request = {"TableName": self._table, "Key": QUOTA.key(scope), "ConsistentRead": True}
        with _refusing("no reservation could be made"):
            answer = self._client.call("GetItem", request)
        return self._remember(scope, answer.get("Item"))

    def _write(self, scope: str, update: Update, *, attempts: int = 3) -> tuple[bool, Seen | None]:
        """Whether the condition held, and the item as it is after all (None: there is none)."""
        request = {
            "TableName": self._table,
            "Key": QUOTA.key(scope),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **update.arguments(),
        }
        try:
            answer = self._client.call("UpdateItem", request, attempts=attempts)
        except ConditionFailedError as error:
            return False, self._remember(scope, error.item, is_latest=True)
        return True, self._remember(scope, answer["Attributes"])

    def _remember(self, scope: str, item: TypedItem | None, *, is_latest: bool = False) -> Seen | None:
        # Answers overtake each other, so the higher version counts; but a failed condition proves that what was
        # remembered is wrong, even if its version was higher: the item was made anew.
        seen = Seen(*read_state(item)) if item else None
        with self._lock:
            known = self._seen.get(scope)
            if seen is None:
                self._seen.pop(scope, None)
            elif is_latest or known is None or known.state.version <= seen.state.version:
                self._seen[scope] = seen
                self._seen.move_to_end(scope)
                if len(self._seen) > _REMEMBERED_SCOPES:
                    self._seen.popitem(last=False)
        return seen


@contextmanager
def _refusing(action: str) -> Iterator[None]:
    """What can't be counted is refused."""
    try:
        yield
    except StorageUnavailableError as error:
        raise LedgerUnavailableError(f"{action}: {error.message}") from error


def _lesson(
    limits: tuple[Limit, ...],
    capacities: Mapping[str, int],
    remaining: Mapping[str, int],
    before: QuotaState,
    after: QuotaState,
    now_ms: int,
) -> Update | None:
    update = Update()
    has_news = False
    for limit in limits:
        code = CODES[limit.name]
        said = capacities.get(limit.name)
        known = after.learned_capacities.get(limit.name)
        if said is not None and said > 0 and said != (limit.capacity if known is None else known):
            update.set(f"{code}.capacity", said)
            has_news = True
            known = said
        counter = after.counters.get(limit.name)
        if limit.name in remaining and counter is not None:
            capacity = said or limit.capacity_in_force(known)
            excess = unexplained_use(limit, before, after, remaining[limit.name], capacity)
            if excess > 0:
                update.require(f"{code}.head", "=", counter.head)
                update.add(f"{code}.total", excess)
                update.add(f"{code}.{counter.head}", excess)
                has_news = True
    if not has_news:
        return None
    update.require("version", "=", after.version)
    update.add("version", 1)
    return update
