"""Changes the number of a scope's shards, step by step. Pure: see `steps`.

The first shard is closed first, and says how many are to follow; then the others, then the new ones are made, and last
the scope's own item says where to look. Each step is conditional on not having been done, so any process that finds a
closed item can do the rest.
"""

from sluice.quota.item import CLOSED
from sluice.quota.shards import Layout, Shard, closing, next_generation
from sluice.quota.steps import Flow, Pause, read, write
from sluice.storage.update import Update

# So long another process may need for what it has begun; then it is taken for dead.
_PATIENCE = 4
_LONGEST_PAUSE_S = 0.05


def reshape(scope: str, layout: Layout, count: int, now_ms: int) -> Flow[Layout]:
    """Replace the shards that `layout` was followed by, or is, by `count` new ones. Returns where the counters are."""
    layout = yield from follow(scope, layout, now_ms)
    if layout.count == count:
        return layout
    yield from _close(scope, layout.shards[0], count, now_ms)
    return (yield from follow(scope, layout, now_ms, is_own=True))


def follow(scope: str, layout: Layout, now_ms: int, *, is_own: bool = False) -> Flow[Layout]:
    """Where the counters are that were moved away from `layout`, which moves them on if nobody else does.

    `is_own`: nobody else has to be waited for.
    """
    while True:
        first = layout.shards[0]
        [item] = yield from read(first.key(scope), is_consistent=True)
        if not item.is_closed:
            return layout
        latest = Layout.from_number(item.number("S") or 0)
        if latest.generation > layout.generation:
            layout = latest
            continue
        following = layout.following(item.number("s") or 1)
        if not is_own:
            for _ in range(_PATIENCE):
                if (yield from _exists(scope, following)):
                    break
                yield Pause(_LONGEST_PAUSE_S)
        yield from _complete(scope, layout, following, now_ms)
        layout = following


def _exists(scope: str, layout: Layout) -> Flow[bool]:
    items = yield from read(*[shard.key(scope) for shard in layout.shards], is_consistent=True)
    return all(item.exists for item in items)


def _complete(scope: str, layout: Layout, following: Layout, now_ms: int) -> Flow[None]:
    """Do what is left of the change from one generation to the next."""
    if not (yield from _exists(scope, following)):
        for shard in layout.shards[1:]:
            yield from _close(scope, shard, following.count, now_ms)
        closed = yield from read(*[shard.key(scope) for shard in layout.shards], is_consistent=True)
        updates = next_generation(closed, following.count, now_ms)
        for shard, update in zip(following.shards, updates, strict=True):
            yield from write(shard.key(scope), update)
    update = Update()
    update.require("hm", "=", CLOSED)
    update.require_absent_or("S", "<", following.number)
    update.set("S", following.number)
    yield from write(Layout().shards[0].key(scope), update)


def _close(scope: str, shard: Shard, count: int, now_ms: int) -> Flow[None]:
    key = shard.key(scope)
    [item] = yield from read(key, is_consistent=True)
    while not item.is_closed:
        written = yield from write(key, closing(item, shard, count, now_ms))
        item = written.item
