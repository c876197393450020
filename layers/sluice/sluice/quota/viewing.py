"""How scopes are looked at without taking from them. Pure: see `steps`."""

from collections.abc import Sequence

from sluice.quota.item import QuotaItem
from sluice.quota.memory import Memory
from sluice.quota.shards import Layout, merged
from sluice.quota.steps import Flow, read

# The scope's own item says where the others are, and one that is seen as it is closed says nothing yet.
_MOST_MOVES = 2


def prefetch(memory: Memory, scopes: Sequence[str], now_ms: int, since_ms: int) -> Flow[None]:
    """See an item of those scopes that were not seen since `since_ms`, all at once."""
    unseen = {scope: memory.of(scope) for scope in scopes}
    unseen = {scope: known for scope, known in unseen.items() if not known.latest or known.latest.at_ms < since_ms}
    for _ in range(_MOST_MOVES):
        if not unseen:
            return
        shards = [known.layout.shards[0] for known in unseen.values()]
        items = yield from read(*[shard.key(scope) for scope, shard in zip(unseen, shards, strict=True)])
        moved = {}
        for (scope, known), shard, item in zip(unseen.items(), shards, items, strict=True):
            latest = Layout.from_number(item.number("S") or 0)
            if item.is_closed and latest.generation > known.layout.generation:
                known.move(latest, now_ms)
                moved[scope] = known
            else:
                known.see(shard, item, now_ms)
        unseen = moved


def view(scopes: Sequence[str]) -> Flow[dict[str, QuotaItem]]:
    """The counters of `scopes` as they are now, those of all shards together; none for a scope that was never used."""
    if not scopes:
        return {}
    items = yield from read(*scopes, is_consistent=True)
    found = {}
    for scope, item in zip(scopes, items, strict=True):
        whole = merged((yield from _in_use(scope, item)))
        if whole.exists:
            found[scope] = whole
    return found


def _in_use(scope: str, root: QuotaItem) -> Flow[list[QuotaItem]]:
    """The items that count now, without a write: the closed ones until all of the next generation are made."""
    layout, items = Layout(), [root]
    while items[0].is_closed:
        latest = Layout.from_number(items[0].number("S") or 0)
        is_complete = latest.generation > layout.generation
        layout = latest if is_complete else layout.following(items[0].number("s") or 1)
        following = yield from read(*[shard.key(scope) for shard in layout.shards], is_consistent=True)
        if not is_complete and not all(item.exists for item in following):
            break
        items = following
    return items
