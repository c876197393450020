"""What a process remembers of scopes: their items as last seen, where they are, and what was refused. Pure."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import field
from threading import Lock

from sluice.loading.dataclass import dataclass
from sluice.quota.item import QuotaItem
from sluice.quota.limits import Denial
from sluice.quota.shards import Layout, Shard
from sluice.quota.windows import RollingWindow

# A refusal is believed for no longer, since others give back.
BELIEVED_MS = 1_000
_REMEMBERED_SCOPES = 4_096


@dataclass(frozen=True, slots=True)
class Seen:
    """An item, and when it was seen."""

    item: QuotaItem
    at_ms: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A denial and what was free of its limit then (None: it was not for a limit)."""

    denial: Denial
    free: int | None
    at_ms: int

    def is_believed(self, costs: Mapping[str, int], now_ms: int) -> bool:
        """Whether who asks for `costs` would be refused again."""
        wait_ms = self.denial.retry_after_ms
        until_ms = self.at_ms + (BELIEVED_MS if wait_ms is None else min(wait_ms, BELIEVED_MS))
        if not self.at_ms <= now_ms < until_ms:
            return False
        # More than all may be used: what costs nothing fits all the same.
        return self.free is None or costs.get(self.denial.limit, 0) > max(self.free, 0)

    def denial_at(self, now_ms: int) -> Denial:
        """The denial as it is later on."""
        wait_ms = self.denial.retry_after_ms
        left_ms = None if wait_ms is None else max(1, wait_ms - (now_ms - self.at_ms))
        return Denial(self.denial.limit, left_ms)


@dataclass(frozen=True, slots=True)
class Counted:
    """How often an item was taken from by a moment."""

    takes: int
    at_ms: int


class OwnTakes:
    """What this process has taken from an item, by code and slice. Threads share it, and need not agree to the unit."""

    def __init__(self) -> None:
        self._units: dict[tuple[str, int], int] = {}

    def add(self, code: str, index: int, units: int, oldest: int) -> None:
        """Add what was taken in slice `index`, or settled, and forget the slices before `oldest`."""
        before = self._units.get((code, index))
        if before is None:
            for other in [each for each in list(self._units) if each[0] == code and each[1] < oldest]:
                self._units.pop(other, None)
        self._units[code, index] = (before or 0) + units

    def units(self, code: str, oldest: int) -> int:
        """What was taken from slice `oldest` on."""
        return sum(units for (each, index), units in list(self._units.items()) if each == code and index >= oldest)


@dataclass(slots=True)
class ScopeMemory:
    """One scope. Threads share it; what one overwrites of another's is only remembered less well."""

    layout: Layout = field(default_factory=Layout)
    layout_since_ms: int = 0
    seen: dict[int, Seen] = field(default_factory=dict)
    refusals: dict[tuple[int, int], Refusal] = field(default_factory=dict)
    """By number of the shard, and by how much of the limits was to be kept free."""
    counted: dict[int, Counted] = field(default_factory=dict)
    own: dict[int, OwnTakes] = field(default_factory=dict)
    takes_per_s: float = 0.0
    was_refused: bool = False
    asked_at_ms: int = 0
    """When it was last read for somebody who had been refused."""

    def see(self, shard: Shard, item: QuotaItem, now_ms: int) -> None:
        """Remember an item."""
        if (shard.generation, shard.count) == (self.layout.generation, self.layout.count):
            self.seen[shard.number] = Seen(item, now_ms)

    @property
    def latest(self) -> Seen | None:
        """What was last seen of any of its items."""
        return max(list(self.seen.values()), key=lambda seen: seen.at_ms, default=None)

    def refused(self, numbers: Iterable[int], kept_free_percent: int) -> list[Refusal]:
        """What some of its shards refused last of what was to leave so much free."""
        found = [self.refusals.get((number, kept_free_percent)) for number in numbers]
        return [refusal for refusal in found if refusal is not None]

    def item(self, shard: Shard) -> QuotaItem:
        """An item as last seen, an empty one if it never was."""
        seen = self.seen.get(shard.number)
        return seen.item if seen else QuotaItem()

    def own_takes(self, shard: Shard) -> OwnTakes:
        """What this process has taken from a shard."""
        return self.own.setdefault(shard.number, OwnTakes())

    def count_own(self, shard: Shard, window: RollingWindow, code: str, index: int, units: int) -> None:
        """Remember what this process took or gave back."""
        self.own_takes(shard).add(code, index, units, window.oldest_live(index))

    def move(self, layout: Layout, now_ms: int) -> None:
        """Forget the items of an earlier generation."""
        if layout != self.layout:
            self.layout, self.layout_since_ms = layout, now_ms
            self.seen, self.refusals, self.counted, self.own = {}, {}, {}, {}
            self.takes_per_s = 0.0


class Memory:
    """The scopes that were used last. Safe to share between threads."""

    def __init__(self) -> None:
        self._scopes: OrderedDict[str, ScopeMemory] = OrderedDict()
        self._lock = Lock()

    def find(self, scope: str) -> ScopeMemory | None:
        """What is remembered of `scope`, if anything."""
        return self._scopes.get(scope)

    def of(self, scope: str) -> ScopeMemory:
        """What is remembered of `scope`, to be added to."""
        with self._lock:
            known = self._scopes.setdefault(scope, ScopeMemory())
            self._scopes.move_to_end(scope)
            if len(self._scopes) > _REMEMBERED_SCOPES:
                self._scopes.popitem(last=False)
        return known
