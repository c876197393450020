"""What was taken from a scope, to be settled once. Pure."""

from collections.abc import Mapping
from dataclasses import field

from sluice.loading.dataclass import dataclass
from sluice.quota.clock import Moment
from sluice.quota.item import QuotaItem
from sluice.quota.limits import Limit
from sluice.quota.shards import Shard
from sluice.quota.status import QuotaSnapshot


@dataclass(slots=True)
class Reservation:
    """Units taken from a scope's limits. `taken` is limit name -> (slice, units).

    Settling gives units back, which must not happen twice, and DynamoDB can't tell; so a reservation never leaves its
    process, and remembers here whether it was settled.
    """

    scope: str
    shard: Shard
    limits: Mapping[str, Limit]
    taken: Mapping[str, tuple[int, int]]
    item: QuotaItem = field(repr=False)
    probe_until_s: int | None = None
    """Until when this is the one call that may try whether a deployment works again; None if it is not."""
    # Taking from a list is one step, whichever thread does it.
    _unsettled: list[bool] = field(default_factory=lambda: [True], repr=False)

    @property
    def snapshot(self) -> QuotaSnapshot:
        """The scope as it was once this was taken."""
        return QuotaSnapshot(self.item, self.shard.count)

    @property
    def key(self) -> str:
        """The key of the item that was taken from."""
        return self.shard.key(self.scope)

    def is_fresh(self, now: Moment) -> bool:
        """Whether none of the slices that were taken from is over.

        A slice counts for a period and a second after its end, so what is sent before that has a second to arrive.
        """
        return all(self.limits[name].window.slice_at(now.latest_ms) <= index for name, (index, _) in self.taken.items())

    def begin_settling(self) -> bool:
        """Whether this is the first time."""
        try:
            return self._unsettled.pop()
        except IndexError:
            return False
