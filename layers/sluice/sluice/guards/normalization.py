"""How the guards see a text: as UTF-8 bytes, and as plain lower-case words.

Rules about wording match the words, so that case, punctuation, accents, full-width letters and invisible characters
need no thought in a pattern, and so that patterns stay small.
"""

import re
import unicodedata
from functools import lru_cache

# Classes of single characters, without alternatives: linear in `re` too, which reads str as it is, unlike re2.
_INVISIBLE = re.compile(
    "[\u00ad\u0300-\u036f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\u02bc\u2018\u2019]+"
)
_PUNCTUATION = re.compile("[\u00a1-\u00bf\u2010-\u205e\u2190-\u2bff\u3000-\u303f]+")
# Unicode's tag characters are an invisible copy of ASCII, in which a whole instruction can be written unseen.
_TAGS = re.compile("[\U000e0020-\U000e007e]")

# The marks that show how words hang together, each as a word: private characters, which no rule's pattern has.
_MARKS = {
    ".": "!?;\n\u2026\u3002\uff01\uff1f\uff1b\u0964\u061f\u061b",
    ",": ",\uff0c\u3001\u060c",
    ":": ":\uff1a",
    '"': '"\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d\u300e\u300f',
}
_AS_MARK = str.maketrans({each: f" {chr(0xE000 + ord(mark))} " for mark, several in _MARKS.items() for each in several})
_GAP = re.compile(r"[ \n]")
# A full stop within a name or a number ends nothing.
_FULL_STOP = re.compile(r"\.+(?=[\s\"')\]]|$)")
_MARK_NAMES = {chr(0xE000 + ord(mark)): mark for mark in _MARKS}

_FOREIGN, _MOSTLY_FOREIGN = re.compile(r"[^\x00-\x7f]+"), 8
_SHORT_CHARACTERS = 2

_DROPPED = b"'`"
_PLAIN = bytes(code if code > 127 else ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(256))


def encode(text: str) -> bytes:
    """UTF-8; a lone surrogate, which JSON can carry, becomes a question mark."""
    return text.encode("utf-8", "replace")


def fold(text: str) -> str:
    """The text without accents, invisible characters and typographic variants of letters."""
    if text.isascii():
        return text
    # Where foreign characters are few, the others are left alone.
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return _fold_run(text) if foreign * _MOSTLY_FOREIGN > len(text) else _FOREIGN.sub(_folded, text)


def words(text: str) -> bytes:
    """The words of a text: folded, lower case, without punctuation, one space before, between and after them."""
    folded = text if text.isascii() else fold(text).lower()
    return b" " + b" ".join(encode(folded).translate(_PLAIN, _DROPPED).split()) + b" "


def _folded(run: re.Match[str]) -> str:
    return _fold_run(run[0]) if len(run[0]) > _SHORT_CHARACTERS else _fold_short_run(run[0])


def _fold_run(run: str) -> str:
    if _TAGS.search(run):
        run = _TAGS.sub(lambda tag: chr(ord(tag.group()) - 0xE0000), run)
    return _PUNCTUATION.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFKD", run)))


# Of most languages' accents, quotes and dashes there are few.
_fold_short_run = lru_cache(4096)(_fold_run)


def parts(text: str, characters: int) -> list[str]:
    """A text in parts of so many characters or somewhat more, parted where words are."""
    if len(text) <= characters:
        return [text]
    found, begin = [], 0
    while begin < len(text):
        gap = _GAP.search(text, begin + characters)
        end = gap.start() if gap else len(text)
        found.append(text[begin:end])
        begin = end
    return found


def marked_words(text: str) -> list[str]:
    """The same words with the marks `.` (of any end of a sentence), `,`, `:` and `"` among them, each a word."""
    marked = _FULL_STOP.sub("\n", text).translate(_AS_MARK)
    return [_MARK_NAMES.get(word, word) for word in words(marked).decode("utf-8", "replace").split()]


def is_mark(word: str) -> bool:
    """Whether one of the marked words is a mark."""
    return word in _MARKS
