"""Words of a text, as BERT's uncased models have them: without accents and capitals, each sign a word. Pure.

Each character is brought into its form by itself, once, and never a text by `unicodedata.normalize`: that sorts the
combining marks of a long run in quadratic time, and marks are left out here anyhow. What a character is, Python's own
tables say, which are of Unicode 15.1. The reference, BertNormalizer and BertPreTokenizer of
https://github.com/huggingface/tokenizers, knows Unicode 8, and takes marks and signs that were added since for letters.
"""

import re
import unicodedata
from bisect import bisect_right
from itertools import chain

# First and last characters of is_chinese_char in the reference's normalizers/bert.rs, with its gap at 2B820.
_HAN = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)
_HAN_BOUNDS = tuple(chain.from_iterable((first, last + 1) for first, last in _HAN))
# Control characters, formats (zero-width ones), private use, and halves of surrogate pairs: they are left out.
_LEFT_OUT = frozenset({"Cc", "Cf", "Co", "Cs"})
_REPLACEMENT = "\ufffd"
_SPACES = "\t\n\r"
# So that who sends each character there is does not fill a function's memory: more than the Han characters.
_MOST_CHARACTERS = 100_000

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""What stands in a text for itself, and is no word and three signs."""
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
_ASCII_WORD = re.compile("[a-z0-9]+|[^a-z0-9 ]")


def words_in(text: str) -> list[str]:
    """The words of a text in order, in the form that the vocabulary has them in. Linear in its length."""
    if "[" in text and len(parts := _SPECIAL.split(text)) > 1:
        return [word for part in parts for word in ([part] if part in SPECIAL else _words_in(part))]
    return _words_in(text)


def _words_in(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.translate(_ASCII))
    return text.translate(_CHARACTERS).split()


def form_of(character: str) -> str:
    """What a character becomes: nothing, a space, or its small letter without marks, between spaces if it is a word."""
    category = unicodedata.category(character)
    if character in _SPACES:
        return " "
    if category in _LEFT_OUT or character == _REPLACEMENT:
        return ""
    if character.isspace():
        return " "
    parts = (each for each in unicodedata.normalize("NFD", character) if unicodedata.category(each) != "Mn")
    form = "".join(f" {each} " if _is_punctuation(each) else each for part in parts for each in part.lower())
    return f" {form} " if bisect_right(_HAN_BOUNDS, ord(character)) % 2 else form


def _is_punctuation(character: str) -> bool:
    # All signs of ASCII are, those that Unicode calls symbols too.
    is_sign = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return is_sign or unicodedata.category(character).startswith("P")


class _Characters(dict[int, str]):
    """Forms of characters by their code points, for str.translate; each is found out when it first comes."""

    def __missing__(self, code: int) -> str:
        form = form_of(chr(code))
        if len(self) < _MOST_CHARACTERS:
            self[code] = form
        return form


_CHARACTERS = _Characters()
# One character for one, which str.translate is ten times as fast at. The pattern parts signs from words.
_ASCII = {
    code: " " if character in (" ", *_SPACES) else character.lower() if character.isprintable() else None
    for code, character in enumerate(map(chr, range(128)))
}
