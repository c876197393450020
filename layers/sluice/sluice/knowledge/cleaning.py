"""Deletes stores: found no more at once, and emptied in the background, twice: for who wrote to one meanwhile."""

from itertools import batched

from sluice.knowledge.index import VectorIndex
from sluice.knowledge.messages import Check, Empty
from sluice.knowledge.open_work import OpenWork
from sluice.knowledge.rebuilding import delete_all
from sluice.knowledge.stores import Stores
from sluice.knowledge.table import StoresTable, batches_of, documents_of, files_of, texts_of
from sluice.knowledge.vector_store import VectorStore
from sluice.storage.tables import STORES
from sluice.tenants.principal import Principal

_AT_ONCE = 500


class StoreCleaner:
    """Deletes stores and what is in them. Threads may share it. Raises StorageUnavailableError."""

    def __init__(self, table: StoresTable, stores: Stores, index: VectorIndex, work: OpenWork) -> None:
        self._table = table
        self._stores = stores
        self._index = index
        self._work = work

    def delete(self, principal: Principal, store: VectorStore) -> None:
        """Have a store found no more, and emptied."""
        message = Empty.of(principal, store.id).model_dump(mode="json")
        # In an hour once more: whoever writes to it now has ended by then.
        self._work.begin(message)
        self._stores.mark_deleted(store)
        self._work.send(message)

    def expire(self, message: Check, store: VectorStore) -> bool:
        """Have an expired store emptied; False if it is used again."""
        fields = message.model_dump(include={"tenant", "caller", "is_login", "user", "store"})
        empty = Empty(**fields).model_dump(mode="json")
        # In an hour once more, as of one that is deleted.
        self._work.begin(empty)
        is_marked = self._stores.mark_emptied(store)
        if is_marked:
            self._work.send(empty)
        return is_marked

    def empty(self, tenant: str, store_id: str) -> None:
        """Delete all that is in a store that was deleted, or has expired."""
        store = self._stores.known(tenant, store_id)
        if store is None or not (store.is_deleted or store.is_emptied):
            return
        for generation in store.generations:
            delete_all(self._index, store, generation)
        for collection in (texts_of, documents_of, files_of, batches_of):
            place = collection(tenant, store_id)
            for some in batched(self._table.query(place, only=[STORES.sort]), _AT_ONCE, strict=False):
                self._table.delete_all(place, [item[STORES.sort] for item in some])
