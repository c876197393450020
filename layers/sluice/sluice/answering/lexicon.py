"""The words of questions that tools answer, read from shared/questions/lexicon.toml, which says what they stand for."""

from collections.abc import Mapping
from functools import cache

from sluice.catalog.reader import SHARED
from sluice.loading.dataclass import dataclass
from sluice.loading.toml import read_toml

_FILE = SHARED / "questions" / "lexicon.toml"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Tags by the words of a phrase, and words that change nothing in what is asked for."""

    tags: Mapping[tuple[str, ...], frozenset[str]]
    silent: frozenset[str]
    longest: int


@cache
def lexicon() -> Lexicon:
    """The lexicon of this process, read once."""
    read = read_toml(_FILE)
    tags: dict[tuple[str, ...], frozenset[str]] = {}
    for row in read["phrases"]:
        for phrase in row["words"]:
            words = tuple(phrase.split())
            tags[words] = tags.get(words, frozenset()) | frozenset(row["tags"])
    return Lexicon(tags, frozenset(read["silent"].split()), max(map(len, tags)))
