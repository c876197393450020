"""Shares of models in what `auto` has answered lately, as one process has seen it.

A share is of the requests of all tenants, and of those of one where it has a cap of its own. It is a decayed average:
each request weighs a little less than the next, so that about the last two hundred count.
It is kept in the process and not in the ledger: a cap on it spreads work over models and keeps no promise to a
provider, as limits do, so it is not worth a write for each request.
"""

from collections import OrderedDict
from threading import Lock

_DECAY = 1 - 1 / 200
# Of fewer requests, a share says nothing.
_FEWEST_REQUESTS = 20
_MOST_TENANTS = 1_000


class ModelShares:
    """What models have answered. Safe to share between threads, and as large as there are models."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests = 0
        self._total = 0.0
        self._by_model: dict[str, float] = {}

    def note(self, model: str) -> None:
        """Note that `auto` was answered by a model."""
        with self._lock:
            self._requests += 1
            self._total = self._total * _DECAY + 1
            self._by_model = {name: weight * _DECAY for name, weight in self._by_model.items()}
            self._by_model[model] = self._by_model.get(model, 0.0) + 1

    def share(self, model: str) -> float:
        """The part, in 0..1, of what was answered lately; 0 while that is too little to say."""
        with self._lock:
            if self._requests < _FEWEST_REQUESTS:
                return 0.0
            return self._by_model.get(model, 0.0) / self._total

    def above(self, most: float) -> tuple[str, ...]:
        """The models whose share is more than `most`, the smallest share first."""
        with self._lock:
            names = [*self._by_model]
        shares = {name: self.share(name) for name in names}
        return tuple(sorted((name for name in names if shares[name] > most), key=shares.__getitem__))


class TenantShares:
    """Shares of all tenants' requests together, and of single tenants' beside. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all = ModelShares()
        self._of_tenants: OrderedDict[str, ModelShares] = OrderedDict()

    def note(self, model: str, tenant: str | None = None) -> None:
        """Note that `auto` was answered by a model, and to which tenant, if it has a cap of its own."""
        self._all.note(model)
        if tenant is not None:
            self._of(tenant).note(model)

    def above(self, most: float, tenant: str | None = None) -> tuple[str, ...]:
        """The models whose share of all requests, or of a tenant's, is more than `most`, the smallest share first."""
        return (self._all if tenant is None else self._of(tenant)).above(most)

    def _of(self, tenant: str) -> ModelShares:
        with self._lock:
            shares = self._of_tenants.setdefault(tenant, ModelShares())
            self._of_tenants.move_to_end(tenant)
            if len(self._of_tenants) > _MOST_TENANTS:
                self._of_tenants.popitem(last=False)
            return shares
