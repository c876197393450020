"""How scopes are looked at without taking from them. Pure: see `steps`."""

from collections.abc import Sequence

from sluice.quota.item import QuotaItem
from sluice.quota.memory import Memory
from sluice.quota.resharding import follow
from sluice.quota.shards import Layout, merged
from sluice.quota.steps import Flow, read


def prefetch(memory: Memory, scopes: Sequence[str], now_ms: int, since_ms: int) -> Flow[None]:
    """See the first item of those scopes that were not seen since `since_ms`, all at once."""
    unseen = []
    for scope in dict.fromkeys(scopes):
        known = memory.of(scope)
        if all(seen.at_ms < since_ms for seen in known.seen.values()):
            unseen.append((known, known.layout.shards[0], scope))
    if not unseen:
        return
    items = yield from read(*[shard.key(scope) for _, shard, scope in unseen])
    for (known, shard, _), item in zip(unseen, items, strict=True):
        known.see(shard, item, now_ms)


def view(scopes: Sequence[str], now_ms: int) -> Flow[dict[str, QuotaItem]]:
    """The counters of `scopes` as they are now, those of all shards together; none for a scope that was never used."""
    if not scopes:
        return {}
    items = yield from read(*scopes, is_consistent=True)
    found = {}
    for scope, item in zip(scopes, items, strict=True):
        whole = item
        if item.is_closed:
            layout = yield from follow(scope, Layout(), now_ms)
            whole = merged((yield from read(*[shard.key(scope) for shard in layout.shards], is_consistent=True)))
        if whole.exists:
            found[scope] = whole
    return found
