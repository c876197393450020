"""Reads a JSON object or array as models write it, and writes it as JSON: in one pass, as it arrives.

Only how a value is written changes: quotes, commas, escapes, white space and how Python spells three literals. What
would have to be guessed (a missing bracket, a comment, NaN, quotes within quotes) is an error.
"""

import json
import re
from typing import NoReturn

MOST_MENDED_CHARACTERS = 65_536
"""How long a value may be that is mended; one that need not be may have any length."""
MOST_DEPTH = 10_000
"""How many brackets may be open at once: what is nested deeper can be read by nobody, Python's own reader neither."""

_PIECE_CHARACTERS = 4_096

# Python reads numbers of 4,300 digits, and no longer ones.
_MOST_WORD_CHARACTERS = 5_000

# Classes of single characters without alternatives that overlap: linear, and Python's `re` reads str as it is.
_WHITE = re.compile(r"[ \t\n\r\u00a0\u2028\u2029\ufeff]+")
_PLAIN = {quote: re.compile(f'[^"{quote}\\\\\\x00-\\x1f]+') for quote in "\"'\u201d"}
# A whole string without anything to mend in it, and without a quote of the other kind.
_SIMPLE = re.compile(r"""(["'])([^"'\\\x00-\x1f]*)\1""")
_WORD = re.compile(r"[\w$+.-]+")
_BARE_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(r"""\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})""")
_UNFINISHED_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")

_LITERALS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_CLOSING_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d"}
_CLOSING_BRACKETS = {"{": "}", "[": "]"}

# What may come next, besides white space.
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _COLON, _COMMA = "value", "first value", "key", "first key", "colon", "comma"


class _UnreadableError(Exception):
    """What comes next is not JSON, and cannot be made so without changing what it says."""


class LenientJson:
    """One value, fed from its opening bracket on. Once it `is_complete` or `is_broken`, it reads no further.

    What was fed and not written is in `unwritten`, as it came.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.is_broken = False
        self._has_mended = False
        self._characters = 0
        self._rest = ""
        self._brackets: list[str] = []
        self._expected = _VALUE
        self._quote = ""  # the one that closes the string being read
        self._comma: list[str] = []  # a comma and the white space behind it: written if another item follows
        self._gap = ""  # between the last value and what comes next
        self._ends_with_string = False
        self._out: list[str] = []

    @property
    def unwritten(self) -> str:
        """The end of what was fed: a token that may go on, or all from where it broke, or what follows the value."""
        return "".join(self._comma) + self._rest

    @property
    def is_too_long(self) -> bool:
        """Whether there was something to mend in more than is mended."""
        return self._has_mended and self._characters > MOST_MENDED_CHARACTERS

    def feed(self, text: str) -> str:
        """Read on; returns what can be written."""
        if not (self._brackets or self.is_complete or self.is_broken):
            text, self._rest = self._rest + text, ""
            if end := _end_of_json(text):
                # Most values that arrive in one piece are in order.
                self.is_complete = True
                self._rest = text[end:]
                return text[:end]
        written, start = [], 0
        while start < len(text):
            written.append(self._read(text[start : start + _PIECE_CHARACTERS], is_last=False))
            start += _PIECE_CHARACTERS
            self.is_broken = self.is_broken or self.is_too_long
            if self.is_complete or self.is_broken:
                self._rest += text[start:]
                break
        return "".join(written)

    def finish(self) -> str:
        """Read what was left because it might have gone on; returns what can be written."""
        written = self._read("", is_last=True)
        self.is_broken = not self.is_complete
        return written

    def _read(self, text: str, *, is_last: bool) -> str:
        self._out, held = [], "".join(self._comma)
        self._characters += len(text)
        text, position = self._rest + text, 0
        try:
            while position < len(text) and not self.is_complete and not self.is_broken:
                step = self._string(text, position, is_last) if self._quote else self._token(text, position, is_last)
                if step == position:
                    break
                position = step
        except _UnreadableError:
            self.is_broken = True
        self._rest = text[position:]
        written = "".join(self._out)
        self._has_mended = self._has_mended or written + "".join(self._comma) != held + text[:position]
        return written

    def _token(self, text: str, start: int, is_last: bool) -> int:
        """Read one token outside strings and return where it ends, or its start if more has to arrive first."""
        if white := _WHITE.match(text, start):
            self._white_space(white[0])
            return white.end()
        first = text[start]
        if first in "}]":
            self._close(first)
        elif first == ":" and self._expected == _COLON:
            self._out.append(":")
            self._expected = _VALUE
        elif first == "," and self._expected == _COMMA:
            self._comma = [","]
            self._expected = self._next_item()
        elif first in "{[":
            self._open(first)
        elif first in _CLOSING_QUOTES:
            self._begin_item(is_marked=True)
            if simple := _SIMPLE.match(text, start):
                self._out.append(f'"{simple[2]}"')
                self._end_string()
                return simple.end()
            self._quote = _CLOSING_QUOTES[first]
            self._out.append('"')
        else:
            return self._word(text, start, is_last)
        return start + 1

    def _white_space(self, white: str) -> None:
        # Only four characters are white space to JSON.
        white = white if white.isascii() else "".join(each if each.isascii() else " " for each in white)
        self._gap = "\n" if "\n" in white else self._gap or " "
        (self._comma or self._out).append(white)

    def _word(self, text: str, start: int, is_last: bool) -> int:
        word = _WORD.match(text, start)
        if word is None or word.end() - start > _MOST_WORD_CHARACTERS:
            raise _UnreadableError
        if word.end() == len(text) and not is_last:
            return start
        self._begin_item(is_marked=False)
        if self._expected in (_KEY, _FIRST_KEY):
            if not _BARE_KEY.fullmatch(word[0]):
                raise _UnreadableError
            self._out.append(f'"{word[0]}"')
            self._expected = _COLON
        elif word[0] in _LITERALS or _NUMBER.fullmatch(word[0]):
            self._out.append(_LITERALS.get(word[0], word[0]))
            self._end_value()
        else:
            raise _UnreadableError
        return word.end()

    def _open(self, bracket: str) -> None:
        self._begin_item(is_marked=True)
        if self._expected in (_KEY, _FIRST_KEY) or len(self._brackets) >= MOST_DEPTH:
            raise _UnreadableError
        self._brackets.append(bracket)
        self._out.append(bracket)
        self._expected = _FIRST_KEY if bracket == "{" else _FIRST_VALUE

    def _close(self, bracket: str) -> None:
        is_at_an_end = self._comma or self._expected in (_COMMA, _FIRST_KEY, _FIRST_VALUE)
        if not is_at_an_end or not self._brackets or _CLOSING_BRACKETS[self._brackets[-1]] != bracket:
            raise _UnreadableError
        # A comma before a closing bracket is left out; the white space behind it stays.
        self._out += (*self._comma[1:], bracket)
        self._comma = []
        self._brackets.pop()
        self._end_value()

    def _begin_item(self, *, is_marked: bool) -> None:
        """Write the comma before a key or a value, if there is one or it was forgotten.

        `is_marked`: it begins with a bracket or a quote. Other words, and strings without a gap between them, may as
        well be one value with a quote too many in it.
        """
        if self._expected == _COLON:
            raise _UnreadableError
        if self._expected == _COMMA:
            if "\n" not in self._gap and not (is_marked and (self._gap or not self._ends_with_string)):
                raise _UnreadableError
            self._comma = [","]
            self._expected = self._next_item()
        self._out += self._comma
        self._comma = []

    def _next_item(self) -> str:
        return _KEY if self._brackets[-1] == "{" else _VALUE

    def _end_string(self) -> None:
        if self._expected in (_KEY, _FIRST_KEY):
            self._expected = _COLON
        else:
            self._end_value(is_string=True)

    def _end_value(self, *, is_string: bool = False) -> None:
        self._expected = _COMMA
        self._gap = ""
        self._ends_with_string = is_string
        self.is_complete = not self._brackets

    def _string(self, text: str, start: int, is_last: bool) -> int:
        """Read some of a string and return where that ends, or its start if more has to arrive first."""
        if plain := _PLAIN[self._quote].match(text, start):
            self._out.append(plain[0])
            return plain.end()
        first = text[start]
        if first == self._quote:
            self._quote = ""
            self._out.append('"')
            self._end_string()
            return start + 1
        if first == '"':
            self._out.append('\\"')
            return start + 1
        if first != "\\":
            self._out.append(_escaped(first))
            return start + 1
        if escape := _ESCAPE.match(text, start):
            self._out.append(escape[0])
            return escape.end()
        unfinished = _UNFINISHED_ESCAPE.match(text, start)
        if unfinished is not None and unfinished.end() == len(text) and not is_last:
            return start
        if text[start + 1 : start + 2] == "'":
            self._out.append("'")
            return start + 2
        # A backslash that escapes nothing stands for itself, as in the pattern \d.
        self._out.append("\\\\")
        return start + 1


def _escaped(control: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(control) or f"\\u{ord(control):04x}"


def _end_of_json(text: str) -> int:
    """Where the value ends that a text begins with, 0 if it is not JSON as it stands."""
    try:
        return _STRICT.raw_decode(text)[1]
    except (ValueError, RecursionError):
        return 0


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)
