"""Numbers in a text, so that a model's words can be held against what they are about. Pure.

Digits of all scripts, fractions, percentages, dates, and English words for numbers and fractions, but for "one",
"first" and "second", which are more than numbers. What can be read two ways counts as
a number: a text that is wrongly taken for wrong is left out, and no harm is done.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d)?")
_NUMBER = re.compile(
    r"(?P<number>\d+(?:[,'\u2019\u00a0\u202f\u2009]\d{3})*(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)"
    r"\s?(?:(?P<percent>%|per\s?cent\b)|(?P<scale>k|thousand|m|mn|million|bn|billion)\b)?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_VAGUE = re.compile(r"\w+fold\b|\b(?:dozens|hundreds|thousands|millions|billions|trillions)\b", re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", ",'\u2019\u00a0\u202f\u2009")
_SCALES = {
    "k": 1_000,
    "thousand": 1_000,
    "m": 1_000_000,
    "mn": 1_000_000,
    "million": 1_000_000,
    "bn": 1_000_000_000,
    "billion": 1_000_000_000,
}
_FROM_TWO_ON = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_FRACTIONS_FROM_A_THIRD_ON = (
    *("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth"),
    *("fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
_WORDS = {
    **dict.fromkeys(("zero", "zeros", "zeroes", "zeroed", "nil", "nought", "naught"), Decimal(0)),
    **{word: Decimal(value) for value, word in enumerate(_FROM_TWO_ON, start=2)},
    **{
        word: Decimal(10 * value)
        for value, word in enumerate(["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=3)
    },
    # Which may be ordinals as well: "the fifth day" is taken for a number too.
    **{
        word + ending: Decimal(1) / parts
        for parts, word in enumerate(_FRACTIONS_FROM_A_THIRD_ON, start=3)
        for ending in ("", "s")
    },
    **{
        word + ending: Decimal(1) / parts
        for word, parts in (("hundredth", 100), ("thousandth", 1_000), ("millionth", 1_000_000))
        for ending in ("", "s")
    },
    **dict.fromkeys(("twice", "double", "doubled", "doubles", "doubling", "doubly"), Decimal(2)),
    **dict.fromkeys(("couple", "pair", "pairs"), Decimal(2)),
    **dict.fromkeys(("thrice", "triple", "tripled", "triples", "tripling"), Decimal(3)),
    **dict.fromkeys(("treble", "trebled", "trebles", "trebling"), Decimal(3)),
    **dict.fromkeys(("quadruple", "quadrupled", "quadruples", "quadrupling"), Decimal(4)),
    **dict.fromkeys(("quintuple", "quintupled", "quintuples", "quintupling"), Decimal(5)),
    **dict.fromkeys(("half", "halves", "halved", "halving"), Decimal("0.5")),
    **dict.fromkeys(("quarter", "quarters"), Decimal("0.25")),
    "dozen": Decimal(12),
    "hundred": Decimal(100),
    "thousand": Decimal(1_000),
    "million": Decimal(1_000_000),
    "billion": Decimal(1_000_000_000),
    "trillion": Decimal(1_000_000_000_000),
}

type Spoken = tuple[str, Decimal | str]
"""What kind of number it is, "number", "percent", "date" or "vague", and which."""


def numbers_in(text: str) -> set[Spoken]:
    """All numbers that a text says."""
    # A fraction's characters are several: a half becomes 1, a slash and 2.
    plain = unicodedata.normalize("NFKC", text)
    found: set[Spoken] = {("date", match.group().replace("T", " ")) for match in _DATE.finditer(plain)}
    rest = _DATE.sub(" ", plain)
    found.update(_numerals(rest))
    rest = _NUMBER.sub(" ", rest)
    found.update(("number", _WORDS[word].normalize()) for word in map(str.lower, _WORD.findall(rest)) if word in _WORDS)
    found.update(("vague", match.group().lower()) for match in _VAGUE.finditer(rest))
    for character in text:
        # Chinese and Roman numerals, and what else stands for a number.
        if not character.isdecimal() and (value := unicodedata.numeric(character, None)) is not None:
            found.add(("number", Decimal(str(value)).normalize()))
    return found


def unknown_numbers(text: str, known: set[Spoken]) -> set[Spoken]:
    """The numbers of a text that are not among those that are known."""
    return numbers_in(text) - known


def _numerals(text: str) -> Iterator[Spoken]:
    for match in _NUMBER.finditer(text):
        value = Decimal(match["number"].translate(_SEPARATORS))
        scale = _SCALES.get((match["scale"] or "").lower(), 1)
        yield ("percent" if match["percent"] else "number", (value * scale).normalize())
