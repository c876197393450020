"""Vector stores in DynamoDB."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sluice.errors import InvalidRequestError, NotFoundError
from sluice.files.file import is_id
from sluice.knowledge.table import StoresTable, stores_of
from sluice.knowledge.vector_store import DAY_S, FileStatus, Generation, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.storage.item_types import Item
from sluice.storage.tables import STORES
from sluice.storage.update import Update
from sluice.telemetry.best_effort import best_effort

_NAMES = frozenset(each.name for each in fields(VectorStore)) - {"id", "tenant", "counts"}
_COUNT = "count_"
# How exactly it is known when a store was used last: writing it down at each search would double what one costs.
_ACTIVE_EVERY_S = 3_600


@dataclass(frozen=True, slots=True)
class StorePage:
    """Some stores, and whether there are more."""

    stores: Sequence[VectorStore]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which part of a list is wanted: so many, `after` or `before` one by its id, in this order."""

    limit: int
    newest_first: bool = True
    after: str | None = None
    before: str | None = None


class Stores:
    """The stores of all tenants. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: StoresTable, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._clock = clock

    def create(self, store: VectorStore) -> None:
        """Add a store."""
        self._table.put(stores_of(store.tenant), store.id, _values(store))

    def find(self, tenant: str, store_id: str) -> VectorStore:
        """A store of a tenant's. Raises NotFoundError."""
        store = self.known(tenant, store_id)
        if store is None or store.is_deleted:
            raise NotFoundError(f"There is no vector store {store_id[:64]!r}.", param="vector_store_id")
        return store

    def usable(self, tenant: str, store_id: str) -> VectorStore:
        """A store that has not expired. Raises NotFoundError, InvalidRequestError."""
        store = self.find(tenant, store_id)
        if store.is_expired(self._clock()):
            raise InvalidRequestError(
                f"The vector store {store.id} has expired: make another one.",
                param="vector_store_id",
                code="vector_store_expired",
            )
        return store

    def known(self, tenant: str, store_id: str) -> VectorStore | None:
        """A store as it is now, also one that was deleted lately; None if there never was one."""
        item = self._table.get(stores_of(tenant), store_id) if is_id(store_id) else None
        return None if item is None else _store(tenant, item)

    def page(self, tenant: str, query: PageQuery) -> StorePage:
        """Stores of a tenant's, in the order of their making."""
        found, has_more = page_of(self._table, stores_of(tenant), query, lambda item: not item.get("is_deleted"))
        return StorePage([_store(tenant, item) for item in found], has_more)

    def change(self, store: VectorStore, values: Mapping[str, Any], *, epoch: int | None = None) -> VectorStore | None:
        """Give a store these values, None removing one; returns it as it is then.

        None if it was deleted meanwhile, or its epoch is another one than `epoch`.
        """
        update = Update()
        for name, value in values.items():
            if value is None:
                update.remove(name)
            else:
                update.set(name, asdict(value) if isinstance(value, Generation) else value)
        update.require_exists("created_at")
        update.require_absent("is_deleted")
        if epoch is not None:
            update.require("epoch", "=", epoch)
        if self._table.update(stores_of(store.tenant), store.id, update) is None:
            return None
        return self.known(store.tenant, store.id)

    def mark_deleted(self, store: VectorStore) -> bool:
        """Have a store found no more; False if somebody has done so already. Its contents are deleted by others."""
        update = Update()
        update.set("is_deleted", True)
        update.add("epoch", 1)
        update.set("expires_at", int(self._clock()) + 30 * DAY_S)
        update.require_exists("created_at")
        update.require_absent("is_deleted")
        return self._table.update(stores_of(store.tenant), store.id, update) is not None

    def mark_emptied(self, store: VectorStore) -> bool:
        """Have a store expired for good; False if it was used, changed or deleted meanwhile, or is expired so."""
        update = Update()
        update.set("is_emptied", True)
        update.set("usage_bytes", 0)
        update.add("epoch", 1)
        for status in FileStatus:
            update.remove(count_name(status))
        update.require_absent("is_deleted")
        update.require_absent("is_emptied")
        update.require("last_active_at", "=", store.last_active_at)
        update.require("expires_after_days", "=", store.expires_after_days or 0)
        return self._table.update(stores_of(store.tenant), store.id, update) is not None

    def correct_usage(self, store: VectorStore, size: int) -> None:
        """Note how many bytes there are, unless some were added or removed since the store was looked at."""
        if size == store.usage_bytes:
            return
        update = Update()
        update.set("usage_bytes", size)
        update.require("usage_bytes", "=", store.usage_bytes)
        self._table.update(stores_of(store.tenant), store.id, update)

    def add_usage(self, store: VectorStore, size: int) -> None:
        """Count bytes that were added or removed; the daily check counts anew what got lost here."""
        if not size:
            return
        update = Update()
        update.add("usage_bytes", size)
        update.require_exists("created_at")
        with best_effort("counting a store's bytes"):
            self._table.update(stores_of(store.tenant), store.id, update)

    def note_active(self, store: VectorStore) -> None:
        """Note that a store is used, once an hour at most."""
        now = int(self._clock())
        if now - store.last_active_at < _ACTIVE_EVERY_S:
            return
        update = Update()
        update.set("last_active_at", now)
        update.require_exists("created_at")
        with best_effort("noting that a store is used"):
            self._table.update(stores_of(store.tenant), store.id, update)


def count_name(status: str) -> str:
    """The attribute of a store, or a batch of files, that counts files of a status."""
    return f"{_COUNT}{status}"


def counts_of(item: Item) -> dict[str, int]:
    """How many files there are of each status."""
    return {name.removeprefix(_COUNT): value for name, value in item.items() if name.startswith(_COUNT)}


def page_of(
    table: StoresTable, collection: str, query: PageQuery, is_wanted: Callable[[Item], bool]
) -> tuple[list[Item], bool]:
    """A part of a collection, and whether there are more in its order."""
    # What comes before one, in one order, comes after it in the other.
    reverses = query.after is None and query.before is not None
    found: list[Item] = []
    has_more = False
    items = table.query(
        collection, after=query.after or query.before or "", newest_first=query.newest_first != reverses
    )
    for item in items:
        if not is_wanted(item):
            continue
        if len(found) == query.limit:
            has_more = True
            break
        found.append(item)
    return (found[::-1] if reverses else found), has_more


def _values(store: VectorStore) -> Item:
    values = {name: value for name, value in asdict(store).items() if name in _NAMES and value is not None}
    return {name: value for name, value in values.items() if value is not False}


def _store(tenant: str, item: Item) -> VectorStore:
    values = {name: value for name, value in item.items() if name in _NAMES}
    known = {"id": item[STORES.sort], "tenant": tenant, "counts": counts_of(item)}
    values["active"] = Generation(**values["active"])
    if "next" in values:
        values["next"] = Generation(**values["next"])
    return VectorStore(**values | known)
