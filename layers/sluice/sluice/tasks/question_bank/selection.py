"""Picks exactly as many different questions as were asked for, spread over the categories. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sluice.tasks.question_bank.question import Question, content_words, is_alike, label

_ANY = ""


class Selection:
    """What was found so far for one request: `wanted` questions, evenly of each category, none like those in `avoid`.

    Without categories any category will do.
    """

    def __init__(self, wanted: int, categories: Sequence[str] = (), avoid: Iterable[str] = ()) -> None:
        self.wanted = wanted
        self.categories: Mapping[str, str] = _by_label(categories)
        self._known = {text: content_words(text) for text in avoid}
        self._passed_over: dict[str, frozenset[str]] = {}
        self._found: dict[str, list[Question]] = {name: [] for name in self.categories or {_ANY: _ANY}}
        share, rest = divmod(wanted, len(self._found))
        self._shares = {name: share + (number < rest) for number, name in enumerate(self._found)}

    @property
    def known(self) -> Sequence[str]:
        """The texts that no new question may repeat, those that were found last."""
        return [*self._passed_over, *self._known]

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
        self._known[text] = content_words(text)

    def offer(self, question: Question) -> bool:
        """Take a question of the bank, if it is of a category that was asked for and repeats none that was taken."""
        words = content_words(question.text)
        if _repeats(words, self._known):
            self._passed_over[question.text] = words
            return False
        return self._take(question, words)

    def offer_new(self, question: Question) -> bool:
        """Take a question that a model wrote, as `offer` does, if it repeats none that was passed over there either.

        What is like one in the bank would be one more there that can't be handed out together with it.
        """
        words = content_words(question.text)
        if _repeats(words, self._known) or _repeats(words, self._passed_over):
            return False
        return self._take(question, words)

    def _take(self, question: Question, words: frozenset[str]) -> bool:
        name = label(question.category) if self.categories else _ANY
        if name not in self._found:
            return False
        self._known[question.text] = words
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


def _repeats(words: frozenset[str], known: Mapping[str, frozenset[str]]) -> bool:
    return any(is_alike(words, theirs) for theirs in known.values())


def _by_label(categories: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for category in categories:
        found.setdefault(label(category), category)
    return found
