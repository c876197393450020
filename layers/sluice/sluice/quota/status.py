"""How limits stand, for headers, scores, reports and alerts. Pure."""

from collections.abc import Iterable, Mapping

from sluice.loading.dataclass import dataclass
from sluice.quota.circuit import USUAL_BREAKER, Breaker, Circuit
from sluice.quota.item import ALERT, QuotaItem, unpacked
from sluice.quota.limits import Limit, LimitStatus
from sluice.quota.windows import DAY_MS, RollingWindow, month_at

ALERT_PERCENTAGES = (90, 80)


@dataclass(frozen=True, slots=True)
class QuotaSnapshot:
    """A scope as it was seen. Of `shards` items it may be one, and the others are taken to be like it."""

    item: QuotaItem
    shards: int = 1
    breaker: Breaker = USUAL_BREAKER

    @property
    def notes(self) -> Mapping[str, float]:
        """Numbers kept beside the limits."""
        return self.item.notes

    @property
    def circuit(self) -> Circuit:
        """The deployment's circuit."""
        return self.item.circuit(self.breaker)

    def status(self, limit: Limit, now_ms: int) -> LimitStatus:
        """How `limit` stands at `now_ms`; `resets_in_ms` is until everything that counts now has left."""
        window, head = limit.window, self.item.head(limit.window)
        index = max(window.slice_at(now_ms), head or 0)
        capacity = self.item.capacity(limit, index)
        if head is None:
            return LimitStatus(limit.name, capacity, 0, 0)
        if isinstance(window, RollingWindow):
            counted = counted_slices(self.item, limit, index)
            used = self.item.total(limit.code) if index == head else sum(counted.values())
            resets_at_ms = window.leaves_at_ms(max(counted)) if counted else now_ms
        else:
            used = self.item.total(limit.code) if index == head else 0
            resets_at_ms = window.leaves_at_ms(index) if used else now_ms
        return LimitStatus(limit.name, capacity, used * self.shards, max(0, resets_at_ms - now_ms))


NEVER_USED = QuotaSnapshot(QuotaItem())


def free_share(limits: Iterable[Limit], snapshot: QuotaSnapshot, now_ms: int) -> float:
    """The free part, in 0..1, of the limit that has least of it; 1 when nothing is limited, 0 when blocked."""
    if snapshot.item.blocked_until_ms > now_ms:
        return 0.0
    statuses = [snapshot.status(limit, now_ms) for limit in limits]
    return min((each.remaining / each.capacity if each.capacity else 0.0 for each in statuses), default=1.0)


@dataclass(frozen=True, slots=True)
class Alert:
    """A limit of a day or a month is nearly used up. `mark` says on which day or in which month, and by how much."""

    limit: str
    code: str
    percentage: int
    mark: int


def alerts_due(limits: Iterable[Limit], snapshot: QuotaSnapshot, now_ms: int) -> list[Alert]:
    """The alerts that there is reason for and that have not been given in this UTC day or month."""
    due = []
    for limit in limits:
        period = alert_period(limit, now_ms)
        if period is None:
            continue
        status = snapshot.status(limit, now_ms)
        reached = reached_percentage(status)
        given_period, given_tens = divmod(snapshot.item.number(ALERT + limit.code) or 0, 10)
        if reached is not None and (given_period != period or given_tens * 10 < reached):
            due.append(Alert(limit.name, limit.code, reached, period * 10 + reached // 10))
    return due


def alert_period(limit: Limit, now_ms: int) -> int | None:
    """The UTC day, since the epoch, or the month, as `month_at` counts, in which a limit is alerted of once.

    None for a limit of a minute, which is often used up and soon free again.
    """
    if limit.name.endswith("_minute"):
        return None
    return month_at(now_ms) if limit.name.endswith("_month") else now_ms // DAY_MS


def reached_percentage(status: LimitStatus) -> int | None:
    """The highest percentage that is alerted of and that is used, None if none is."""
    return next((each for each in ALERT_PERCENTAGES if 100 * status.used >= each * status.capacity), None)


def unexplained_use(limit: Limit, before: QuotaItem, after: QuotaItem, provider_remaining: int, capacity: int) -> int:
    """How much more a provider says was used than the ledger knows of, 0 if it says less.

    The provider spoke at some moment between the states `before` and `after`, so everything that counted at any time
    in between may be part of what it saw: only what exceeds all of that was taken by somebody else.
    """
    window = limit.window
    if not isinstance(window, RollingWindow) or after.head(window) is None:
        return 0
    known: dict[int, int] = {}
    for item in (before, after):
        for index, number in item.slices(window).items():
            known[index] = max(known.get(index, 0), unpacked(window, number)[limit.code])
    return max(0, capacity - provider_remaining - sum(known.values()))


def counted_slices(item: QuotaItem, limit: Limit, index: int) -> dict[int, int]:
    """What counts by slice once slice `index` is the current one."""
    window = limit.window
    if not isinstance(window, RollingWindow):
        return {}
    oldest = window.oldest_live(index)
    units = {each: unpacked(window, number)[limit.code] for each, number in item.slices(window).items()}
    return {each: taken for each, taken in units.items() if each >= oldest and taken}
