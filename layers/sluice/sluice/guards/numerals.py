"""Numbers in a text, so that a model's words can be held against what they are about. Pure.

Digits of all scripts with their sign, size and unit, fractions, dates, and English words for numbers. What can be read
two ways counts as a number: a text that is wrongly taken for wrong is left out, and no harm is done.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

_DATE = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d)?(?!\d)")
# Between digits they part thousands, as a comma does.
_OTHER_SEPARATORS = re.compile(r"(?<=\d)['\u2019\u00a0\u202f\u2009](?=\d{3})")
_SIGN = r"(?:(?<![\w)\]])[-\u2212\u2013]|\b(?:minus|negative)\s+)[$\u20ac\u00a3]?"
_DIGITS = r"(?:(?<![\w.])\.)?\d(?:[\d.,:/-]*\d)?"
_SCALE = r"(?:e[+-]?\d{1,3}|[kmbt]|mn|bn)\b|[\s-]?(?:hundred|thousand|million|billion|trillion)s?\b"
_UNIT = r"\s?(?:%|percentage points?\b|per ?cent\b)"
_NUMERAL = re.compile(rf"({_SIGN})?({_DIGITS})({_SCALE})?({_UNIT})?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"\d*(?:\.\d+)?")
_SCALES = {
    **{"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9, "t": 10**12},
    **{"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12},
}
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_CARDINALS: dict[str, int] = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    **{"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    **{"quadrillion": 10**15, "lakh": 10**5, "crore": 10**7},
}
# Of ordinals those that are not their cardinal and "th"; all may be fractions as well.
_ORDINALS = {"third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12} | {
    f"{word.removesuffix('y')}ieth": value for word, value in _CARDINALS.items() if word in _TENS
}
_CARDINAL = "|".join(sorted(_CARDINALS, key=len, reverse=True))
_WORD = re.compile(rf"(?P<cardinals>(?:{_CARDINAL})+)(?P<ending>s|ths?|-?fold)?", re.IGNORECASE)
_EACH_CARDINAL = re.compile(_CARDINAL, re.IGNORECASE)
_OTHER_WORDS: dict[str, "Numeral"] = {
    **dict.fromkeys(("nil", "nought", "naught", "zeroed", "zeroes"), ("number", "0")),
    **dict.fromkeys(("couple", "pair", "pairs"), ("number", "2")),
    **dict.fromkeys(("half", "halves", "halve", "halved", "halving"), ("number", "0.5")),
    **dict.fromkeys(("quarter", "quarters"), ("number", "0.25")),
    **dict.fromkeys(("manifold", "unlimited", "infinite", "infinity"), ("vague", "many")),
    # More than numbers: whoever reads a text says what they are.
    **{word: ("loose", word) for word in ("one", "first", "second")},
    "twice": ("times", "2"),
    "thrice": ("times", "3"),
    **{
        stem + ending: ("times", str(value))
        for stem, value in (("doubl", 2), ("tripl", 3), ("trebl", 3), ("quadrupl", 4), ("quintupl", 5))
        for ending in ("e", "es", "ed", "ing", "y")
    },
}
_WORDS = re.compile(r"[a-z]+(?:-fold\b)?", re.IGNORECASE)

type NumeralKind = Literal["number", "percent", "points", "times", "date", "vague", "loose"]
type Numeral = tuple[NumeralKind, str]
"""What kind of number it is, and which: the value, where it has one."""


def numerals_in(text: str) -> set[Numeral]:
    """All numbers that a text says. Of kind `loose` are "one", "first" and "second", which are more than numbers."""
    # Normalised, the characters of a fraction are several: a half becomes 1, a slash and 2.
    plain = unicodedata.normalize("NFKC", _OTHER_SEPARATORS.sub(",", text))
    found: set[Numeral] = {("date", match.group().replace("T", " ")) for match in _DATE.finditer(plain)}
    rest = _DATE.sub(" ", plain)
    found.update(_numeral(match) for match in _NUMERAL.finditer(rest))
    for word in _WORDS.findall(_NUMERAL.sub(" ", rest)):
        found.update(_spoken(word.lower()))
    for character in text:
        # Chinese and Roman numerals, and what else stands for a number.
        if not character.isdecimal() and (value := unicodedata.numeric(character, None)) is not None:
            found.add(("number", _written(Decimal(str(value)))))
    return found


def _numeral(match: re.Match[str]) -> Numeral:
    """A number as it is compared: "-1,500 %" is -1500 percent, and "1,5" is not 15."""
    sign, digits, scale, unit = match.groups(default="")
    kind: NumeralKind = "number" if not unit else "points" if "point" in unit.lower() else "percent"
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    minus = "-" if sign else ""
    if not _PLAIN.fullmatch(digits):
        # A time, a range, an address: it is what it is.
        return kind, f"{minus}{digits}{scale.lower().strip(' -')}"
    return kind, minus + _written(Decimal(digits) * _factor(scale.lower().strip(" -")))


def _factor(scale: str) -> Decimal:
    if scale.startswith("e"):
        return Decimal(f"1{scale}")
    return Decimal(_SCALES[scale if scale in _SCALES else scale.removesuffix("s")]) if scale else Decimal(1)


def _spoken(word: str) -> Iterator[Numeral]:
    """The numbers that a word is."""
    if word in _OTHER_WORDS:
        yield _OTHER_WORDS[word]
        return
    singular = word.removesuffix("s")
    if singular in _ORDINALS:
        yield "number", _written(Decimal(1) / _ORDINALS[singular])
        return
    match = _WORD.fullmatch(word)
    if match is None:
        return
    values = [_CARDINALS[each] for each in _EACH_CARDINAL.findall(match["cardinals"])]
    match match["ending"]:
        case None:
            yield from (("number", _written(Decimal(value))) for value in values)
        case "s":
            yield ("number", "0") if values == [0] else ("vague", singular)
        case "th" | "ths":
            yield "number", _written(Decimal(1) / values[-1]) if values[-1] else "0"
        case _:
            yield "times", str(values[-1])


def _written(value: Decimal) -> str:
    return format(value.normalize(), "f")
