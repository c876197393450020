"""Picks exactly as many different questions as were asked for, spread over the categories. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sluice.questions.question import Question, asks_the_same, label

_ANY = ""


class Selection:
    """What was found so far for one request: `wanted` questions, evenly of each category, none like those in `avoid`.

    Without categories any category will do.
    """

    def __init__(self, wanted: int, categories: Sequence[str] = (), avoid: Iterable[str] = ()) -> None:
        self.wanted = wanted
        self.categories: Mapping[str, str] = _by_label(categories)
        self._known = list(avoid)
        self._found: dict[str, list[Question]] = {name: [] for name in self.categories or {_ANY: _ANY}}
        share, rest = divmod(wanted, len(self._found))
        self._shares = {name: share + (number < rest) for number, name in enumerate(self._found)}

    @property
    def known(self) -> Sequence[str]:
        """The texts that no further question may repeat."""
        return self._known

    @property
    def number(self) -> int:
        """How many questions were found."""
        return sum(map(len, self._found.values()))

    @property
    def is_enough(self) -> bool:
        """Whether there are as many as were asked for, of whatever category."""
        return self.number >= self.wanted

    @property
    def missing(self) -> dict[str, int]:
        """How many are missing of which category, as it was spelled; of "" where any will do."""
        return {
            self.categories.get(name, _ANY): self._shares[name] - len(found)
            for name, found in self._found.items()
            if len(found) < self._shares[name]
        }

    def avoid(self, text: str) -> None:
        """Take no question like this one."""
        self._known.append(text)

    def offer(self, question: Question) -> bool:
        """Take a question, if it is of a category that was asked for and repeats none that is known."""
        name = label(question.category) if self.categories else _ANY
        if name not in self._found or any(asks_the_same(question.text, known) for known in self._known):
            return False
        self._known.append(question.text)
        spelled = self.categories.get(name, question.category)
        self._found[name].append(replace(question, category=spelled))
        return True

    def chosen(self) -> list[Question]:
        """Exactly `wanted` questions, each category's share first; all that were found if they are fewer."""
        shares = {name: found[: self._shares[name]] for name, found in self._found.items()}
        left = self.wanted - sum(map(len, shares.values()))
        for name, found in self._found.items():
            more = found[len(shares[name]) :][:left]
            shares[name] += more
            left -= len(more)
        return [question for share in shares.values() for question in share]


def _by_label(categories: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for category in categories:
        found.setdefault(label(category), category)
    return found
