"""How many tokens a text has at most, without a tokenizer. Pure.

A text is taken apart into runs of characters of one kind, and each kind has a price, so that the sum is at or above
what the tokenizers of a family really count. The prices were fitted by linear programming over 10,599 texts in 500
languages, source code and data; `default` covers o200k, cl100k, Llama 3, Qwen 3, DeepSeek 3, Gemma 3, Gemini and Tekken
at once, `spm` Llama 2 and Mistral before Tekken. Cross-validated, 99.97 % of the texts were at or below the estimate.
Claude's tokenizer is not public: the default's prices, a third higher.
"""

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping

type Measures = Mapping[str, int | float]
"""How much of each kind there is, in the units of the prices."""

# One price for each of these families, in this order.
_COLUMNS = ("default", "o200k", "gemma", "spm")
# By how much a family is dearer than the column that it is priced by.
_FAMILIES = {name: (index, 1.0) for index, name in enumerate(_COLUMNS)} | {"claude": (0, 1.35)}
FAMILIES = tuple(_FAMILIES)

_SAFETY = 1.1
MOST_MEASURED_CHARACTERS = 1_000_000
"""Of a longer text the rest is taken for as many tokens as it has bytes: to take apart costs .13 ms a thousand."""

# Tokens per unit of each measure, by column.
_PRICES = {
    "one": (2.74, 3.02, 2.59, 2.28),
    "known": (1.31, 0.92, 0.90, 2.02),
    "unk": (0.68, 1.11, 0.96, 0.77),
    "unk>3": (0.30, 0.10, 0.15, 0.28),
    "f*unk": (0.92, 0.45, 0.55, 1.24),
    "f*unk>3": (0.21, 0.36, 0.32, 0.23),
    "UP": (1.80, 1.17, 1.17, 1.39),
    "UP>2": (0.69, 0.60, 0.58, 1.00),
    "cons": (0.87, 0.96, 0.66, 0.87),
    "digruns": (0.00, 0.20, 0.00, 0.00),
    "dig": (1.50, 1.01, 1.50, 1.50),
    "sp>16": (0.27, 0.37, 0.23, 0.21),
    "tab": (2.00, 1.00, 2.00, 2.00),
    "tab>1": (0.13, 0.10, 0.10, 1.00),
    "nl": (2.00, 0.65, 2.00, 3.00),
    "nl>2": (1.00, 0.36, 1.00, 1.00),
    "pun": (1.00, 1.00, 1.00, 1.00),
    "pun>1": (0.73, 0.68, 0.65, 0.79),
    "replen": (0.50, 0.50, 0.50, 0.50),
    "ctrl": (1.00, 1.00, 1.00, 1.00),
    "typog": (2.00, 2.58, 2.53, 1.00),
    "latin": (1.86, 1.61, 1.41, 2.20),
    "greekcyr": (1.16, 1.02, 1.00, 1.19),
    "semitic": (1.42, 1.00, 1.00, 1.37),
    "geor": (2.16, 0.55, 0.79, 1.30),
    "indic": (3.17, 1.04, 1.12, 3.12),
    "thai": (1.25, 1.00, 0.67, 1.40),
    "kana": (1.12, 1.00, 1.00, 1.00),
    "han": (2.30, 1.89, 2.12, 2.84),
    "hangul": (3.10, 2.36, 3.11, 3.25),
    "cjkpunct": (3.00, 1.82, 3.00, 3.16),
    "b2": (2.24, 2.26, 2.11, 2.23),
    "b3": (3.54, 3.28, 3.55, 3.62),
    "b4": (4.20, 4.21, 4.19, 4.18),
    "emoji": (4.00, 2.00, 2.45, 4.11),
}

# Words of four letters and more that are one token nearly everywhere: what makes English and code cheap.
_KNOWN_WORDS = """
    function return license this version string important default package options self value class assert returns
    error directory reference language request copyright expressions with that registry type create result control
    import example specified dependencies documentation const object configuration define module internal
    information color attribute without command message source number from commands extension target current path
    description code interface method repository config cargo format header sidebar conditions state sizeof struct
    option index operator context script library name test prototype functions search software release length
    padding https implementation available element catalog border file strict output content require environment
    socket variable attributes feature undefined property build including display storage rust include versions
    edition location unsafe array document write support specific other following install particular standard should
    will project constructor encoding listing typeof defined instance features local provided field packages check
    data immutable async parallel false reserved title which first workspace text multiple arguments update
    parameters using installed opacity boolean expression invalid group height stream protocol identifier when
    prefix runtime await headers fragment installation position types equal block permissions lifetime margin
    translate behavior input windows character parent response static href there event replace values exports
    contains param press dependency before because argument have future public button exception pointer redirect
    connection container implied width python modules select distributed github theme background pattern style
    compiler destination under different distribution handle messages span optional examples null scripts client
    files compatibility implementations rights alter your link cache automatically except remove executable program
    something defaults section where selection true required statements listener limitations purpose status security
    generic only changes structure http filter syntax overflow ownership toggle inline either limitation warning
    filename variables initial items licensed objects deprecated start decoration time chapter list instruction perl
    label item otherwise operations trait access thread running handler original single between template restrict
    bottom programming print level instead then fields buffer keywords read resources contents extensions possible
    namespace datetime licenses address used explicitly compliance origin segment super subtle grammar match
    duration none html bound case selected else light global previous token profile compile commit binary children
    results flags continue table testing names representation wrapper resource called definition size serialize
    parse emphasis highlight whether system bytes railroad stack free requirements server developers characters
    atomic timeout associated panic django selector another ignore frameworks window fitness hidden process these
    transition always keyword linux development about callback func change node widget application precedence found
    clone currently work working after
"""
_KNOWN = frozenset(form for word in _KNOWN_WORDS.split() for form in (word, word.title()))

# Up to so many, letters of a word and signs in a row count once.
_SHORT = 3
_LONG_SPACE = " " * 17
_WORD = re.compile(r"[A-Z]?[a-z]+")
_UPPER = re.compile(r"[A-Z]+(?![a-z])")
_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{5,}")
_DIGITS = re.compile(r"[0-9]+")
_SPACES = re.compile(r" {17,}")
_TABS = re.compile(r"\t+")
_LINES = re.compile(r"[\r\n]+")
_SIGNS = re.compile(r"[!-/:-@\[-`{-~]+")
_SAME_SIGN = re.compile(r"([!-/:-@\[-`{-~])\1{3,}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_OUTSIDE = re.compile(r"[^\x00-\x7f]+")
# Where each range of characters outside ASCII starts, and its kind; b2, b3, b4 are the rest by length in UTF-8.
_RANGES = """
    80 b2, a0 typog, c0 latin, 250 b2, 370 greekcyr, 530 geor, 590 semitic, 700 b2, 750 semitic, 780 b2, 800 b3,
    900 indic, e00 thai, e80 b3, 10a0 geor, 1100 b3, 1e00 latin, 1f00 b3, 2010 typog, 2028 b3, 2030 typog, 203b b3,
    20a0 typog, 20c0 b3, 2190 typog, 2194 b3, 3000 cjkpunct, 3040 kana, 3100 b3, 4e00 han, a000 b3, ac00 hangul,
    d7a4 b3, ff00 cjkpunct, ff61 b3, 10000 b4, 1f300 emoji, 1fb00 b4
"""
_STARTS = [int(item.split()[0], 16) for item in _RANGES.split(",")]
_KINDS = [item.split()[1] for item in _RANGES.split(",")]


def tokens(text: str, family: str = "default") -> int:
    """The most tokens that `text` is likely to have; never more than it can have."""
    return price(measures(text), most_tokens(text), family)


def most_tokens(text: str) -> int:
    """More than any byte-level or byte-fallback tokenizer makes of `text`: a token for each byte, and a prefix.

    Some compose characters first (Qwen: NFC), which lengthens a few.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not text.isascii():
        size = max(size, len(unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")))
    return size + 2


def price(measured: Measures, most: int, family: str) -> int:
    """The tokens of texts with these measures in all, which can't have more than `most`."""
    column, factor = _FAMILIES[family]
    total = sum(_PRICES[kind][column] * count for kind, count in measured.items())
    return min(int(total * factor * _SAFETY) + 1, most)


def measures(text: str) -> Measures:
    """How much of each kind is in `text`; what is not in it is left out."""
    rest = text[MOST_MEASURED_CHARACTERS:]
    text = text[:MOST_MEASURED_CHARACTERS]
    # Plain dictionaries, and no search for what can't be there: thousands of short texts may be asked about at once.
    found = {"one": 1, **_words(text), **_signs(text)}
    if not text.isprintable():
        found |= _spaces(text)
    seen = {kind: count for kind, count in found.items() if count}
    if not text.isascii():
        for character, count in Counter("".join(_OUTSIDE.findall(text))).items():
            kind = _KINDS[bisect_right(_STARTS, ord(character)) - 1]
            seen[kind] = seen.get(kind, 0) + count
    if rest:
        # Their price is about one token, and the safety comes on top.
        seen["pun"] = seen.get("pun", 0) + len(rest.encode("utf-8", "surrogatepass"))
    return seen


def _words(text: str) -> dict[str, int | float]:
    words = _WORD.findall(text)
    lengths = [len(word) for word in words if word not in _KNOWN]
    long = [length for length in lengths if length > _SHORT]
    unknown, excess = len(lengths), sum(long) - _SHORT * len(long)
    known = len(words) - unknown
    # Where few words are known, the language is not English, and words that look alike are dearer.
    foreign = 1 - min(1, 2 * known / (known + len(long))) if known or long else 1
    uppers, digits = _UPPER.findall(text), _DIGITS.findall(text)
    return {
        "known": known,
        "unk": unknown,
        "unk>3": excess,
        "f*unk": foreign * unknown,
        "f*unk>3": foreign * excess,
        "UP": len(uppers),
        "UP>2": sum([len(run) - 2 for run in uppers if len(run) > 2]),
        "cons": sum([len(run) - 4 for run in _CONSONANTS.findall(text)]),
        "digruns": len(digits),
        "dig": sum(map(len, digits)),
    }


def _signs(text: str) -> dict[str, int]:
    signs, same = _SIGNS.findall(text), 0
    if max(map(len, signs), default=0) > _SHORT:
        same = sum(match.end() - match.start() for match in _SAME_SIGN.finditer(text))
        signs = _SIGNS.findall(_SAME_SIGN.sub(" ", text)) if same else signs
    return {
        "pun": len(signs),
        "pun>1": sum(map(len, signs)) - len(signs),
        "replen": same,
        "sp>16": sum([len(run) - 16 for run in _SPACES.findall(text)]) if _LONG_SPACE in text else 0,
    }


def _spaces(text: str) -> dict[str, int]:
    """Of a text that is not all printable: tabs, ends of lines, and control characters."""
    tabs, lines = _TABS.findall(text), _LINES.findall(text)
    return {
        "tab": len(tabs),
        "tab>1": sum(map(len, tabs)) - len(tabs),
        "nl": len(lines),
        "nl>2": sum([len(run) - 2 for run in lines if len(run) > 2]),
        "ctrl": len(_CONTROLS.findall(text)),
    }
