"""Names that a question may use: of models, providers, keys, users, tasks, and which of them a text has. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from sluice.answering.plan import Dimension, Filter
from sluice.loading.dataclass import dataclass

_MOST_WORDS = 5
_APART = re.compile(r"[\W_]+")
# Of one name that several dimensions have, the first is meant.
_ORDER: tuple[Dimension, ...] = ("provider", "model", "task", "key", "user", "tenant", "credential")


@dataclass(slots=True)
class Names:
    """Names by dimension. `shown` has what is shown in place of an id. A name that two have is nobody's."""

    _ids: dict[Dimension, dict[str, str | None]] = field(default_factory=dict)
    shown: dict[Filter, str] = field(default_factory=dict)

    def add(self, dimension: Dimension, value: str, *also: str) -> None:
        """Know a value, and what else it is called. The first thing that it is called is what is shown."""
        known = self._ids.setdefault(dimension, {})
        names = (value, *also, *([value.rpartition("/")[2]] if dimension == "model" else []))
        for squeezed in filter(None, map(_squeezed, names)):
            if known.setdefault(squeezed, value) != value:
                known[squeezed] = None
        if also:
            self.shown.setdefault(Filter(dimension, value), also[0])

    def of(self, dimension: Dimension, value: str) -> str:
        """What a value is shown as."""
        return self.shown.get(Filter(dimension, value), value)

    def find(self, words: Sequence[str]) -> Iterator[Filter]:
        """What these words together may name, in the order in which it is likely to be meant."""
        parts = [_squeezed(word) for word in words]
        name = "".join(parts) if all(parts) else ""
        for dimension in _ORDER:
            value = self._ids.get(dimension, {}).get(name)
            if value is not None:
                yield Filter(dimension, value)


@dataclass(frozen=True, slots=True)
class Named:
    """A name in a text: which words of it, from `start` on, and all that they may name."""

    start: int
    end: int
    meanings: tuple[Filter, ...]


def names_in(words: Sequence[str], names: Names) -> dict[int, Named]:
    """The names in some words, the longest first, by where they begin."""
    found: dict[int, Named] = {}
    start = 0
    while start < len(words):
        for length in range(min(_MOST_WORDS, len(words) - start), 0, -1):
            meanings = tuple(names.find(words[start : start + length]))
            if meanings:
                found[start] = Named(start, start + length, meanings)
                start += length - 1
                break
        start += 1
    return found


def known_names(by_dimension: Mapping[Dimension, Iterable[str]]) -> Names:
    """Names of just these values."""
    names = Names()
    for dimension, values in by_dimension.items():
        for value in values:
            names.add(dimension, value)
    return names


def _squeezed(name: str) -> str:
    return _APART.sub("", name.casefold())
