"""Shares of models in what `auto` has answered lately, as one process has seen it.

A share is a decayed average: each request weighs a little less than the next, so that about the last two hundred count.
It is kept in the process and not in the ledger: a cap on it spreads work over models and keeps no promise to a
provider, as limits do, so it is not worth a write for each request.
"""

from threading import Lock

_DECAY = 1 - 1 / 200
# Of fewer requests, a share says nothing.
_FEWEST_REQUESTS = 20


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
