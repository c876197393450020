"""Makes vector stores, and chooses whose vectors they have."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from sluice.errors import InvalidRequestError
from sluice.knowledge.index import size_for
from sluice.knowledge.messages import Check
from sluice.knowledge.open_work import OpenWork
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import DAY_S, Generation, VectorStore, new_id
from sluice.loading.dataclass import dataclass
from sluice.providers.registry import Registry
from sluice.tenants.preference_types import EmbeddingPreferences
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStore:
    """A store to be made. `model` is whose vectors it has, and `dimensions` how many if not the model's own."""

    name: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    expires_after_days: int | None = None
    model: str = ""
    dimensions: int | None = None


class StoreMaker:
    """Makes stores. Threads may share it.

    Where no model is named, the one that `preferred` has for the tenant of an id is taken.
    """

    def __init__(
        self,
        stores: Stores,
        registry: Callable[[Tenant], Registry],
        preferred: Callable[[str], EmbeddingPreferences],
        work: OpenWork,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._registry = registry
        self._preferred = preferred
        self._work = work
        self._clock = clock

    def create(self, principal: Principal, new: NewStore) -> VectorStore:
        """Make a store. Raises InvalidRequestError if nobody makes vectors as it is to have."""
        now = self._clock()
        model, dimensions = new.model, new.dimensions
        if not model:
            preferred = self._preferred(principal.tenant.id)
            model, dimensions = preferred.model or "", dimensions or preferred.dimensions
        store = VectorStore(
            id=new_id(int(now * 1000)),
            tenant=principal.tenant.id,
            name=new.name,
            description=new.description,
            metadata=new.metadata,
            created_at=int(now),
            last_active_at=int(now),
            expires_after_days=new.expires_after_days,
            active=self.generation(principal, 1, model, dimensions),
        )
        # From tomorrow on, each day. Of a store that is not made after all, that ends by itself.
        self._work.begin(Check.of(principal, store.id).model_dump(mode="json"), due_in_s=DAY_S)
        self._stores.create(store)
        return store

    def generation(self, principal: Principal, number: int, model: str, dimensions: int | None) -> Generation:
        """A generation of a model's vectors. Raises InvalidRequestError, which says what can be."""
        registry, allowed = self._registry(principal.tenant), principal.tenant.allowed_models
        served = [each.id for each in registry.models(allowed) if each.dimensions is not None]
        name = model or (served[0] if served else "")
        found = registry.embedders(name) if name else ()
        if allowed is not None:
            found = tuple(each for each in found if each.model.is_among(allowed))
        if not found:
            raise _no_model(name, served)
        vectors = found[0].model.vectors
        own = vectors.dimensions if vectors else 0
        wanted = own if dimensions is None else dimensions
        if wanted > own or wanted < 1 or (wanted != own and not (vectors and vectors.shortens)):
            can = f"1 to {own:,}" if vectors and vectors.shortens else f"{own:,} only"
            raise InvalidRequestError(
                f"embedding_dimensions: is {wanted:,}; the vectors of {found[0].model.id} have {can}.",
                param="embedding_dimensions",
            )
        size_for(wanted)
        return Generation(number=number, model=found[0].model.id, dimensions=wanted, is_shortened=wanted != own)


def _no_model(name: str, served: Sequence[str]) -> InvalidRequestError:
    listed = f"it can be {', '.join(served)}" if served else "no credential serves a model that makes embeddings yet"
    what = f"{name[:64]!r} makes no embeddings here" if name else "names no model"
    return InvalidRequestError(
        f"embedding_model: {what}; {listed}.", param="embedding_model", code="no_embedding_model"
    )
