"""Reads JSON answers, whole or as they arrive, and repairs them where that cannot change what was said.

Both are read by the same reader, in one pass, so that they agree
(docs/decisions/0004-json-is-repaired-conservatively.md).
"""

import re
from enum import Enum, auto
from typing import NamedTuple, NoReturn

from sluice.chat import ResponseFormat
from sluice.guards.lenient_json import MOST_MENDED_CHARACTERS, LenientJson
from sluice.guards.structured_output import InvalidJsonAnswerError, asks_for_json, check_value, parse

_THINK, _END_OF_THINK = "<think>", "</think>"
_WHITE = " \t\n\r"
_MOST_UNDECIDED_CHARACTERS = 4096
# What may come before a value that is passed on as it arrives, and what may become that.
_OPENING = re.compile(r"(?:```[\w-]{0,32}\s*)?(?=[\[{])")
_BEGUN_FENCE = re.compile(r"`{1,2}|```[\w-]{0,32}\s*")
_OPENING_BRACKET, _BRACKET = re.compile(r"[\[{]"), re.compile(r"[\[\]{}]")


class Parted(NamedTuple):
    """What an answer says, and apart from it what the model thought before, in `<think>` tags."""

    content: str
    thought: str = ""


class _Phase(Enum):
    BEGINNING = auto()
    """There is nothing but white space, or what may become a tag or a code fence."""
    THOUGHT = auto()
    VALUE = auto()
    """The value is passed on as it arrives."""
    END = auto()
    """The value is complete. What follows is left out, unless it has brackets too."""
    WAITING = auto()
    """Prose comes first, or the value is broken: all else waits for the end."""


def enforce_json(text: str, response_format: ResponseFormat | None) -> str:
    """The answer, if it is what was asked for: as it came, byte for byte, or else repaired.

    Raises InvalidJsonAnswerError when there is no such value, or when it breaks the schema.
    """
    return read_json(text, response_format).content if asks_for_json(response_format) else text


def read_json(text: str, response_format: ResponseFormat | None) -> Parted:
    """A whole answer's JSON, and its thought. Raises as `enforce_json` does."""
    try:
        value = parse(text)
    except ValueError:
        reader = JsonReader(response_format)
        return _joined(reader.feed(text), reader.finish())
    check_value(value, response_format)
    return Parted(text)


def read_unfinished(text: str) -> Parted:
    """A whole answer that was cut off, or that may be something else than JSON: as a stream of it would come out."""
    if len(text) > MOST_MENDED_CHARACTERS:
        return Parted(text)
    reader = JsonReader(None)
    return _joined(reader.feed(text), reader.give_up())


class JsonReader:
    """Reads an answer as it arrives. What is in doubt is kept until the end."""

    def __init__(self, response_format: ResponseFormat | None) -> None:
        self._format = response_format
        self._phase = _Phase.BEGINNING
        self._has_thought = False
        self._undecided = ""  # in the phases BEGINNING and THOUGHT
        self._kept: list[str] = []  # in the phases END and WAITING
        self._json = LenientJson()
        self._written: list[str] = []

    def feed(self, text: str) -> Parted:
        """Take the next text; returns what can be passed on."""
        match self._phase:
            case _Phase.BEGINNING:
                return self._begin(self._undecided + text)
            case _Phase.THOUGHT:
                return self._think(self._undecided + text)
            case _Phase.VALUE:
                return Parted(self._read(text))
            case _Phase.END | _Phase.WAITING:
                self._kept.append(text)
                return Parted("")

    def finish(self) -> Parted:
        """Return the rest of a complete answer. Raises InvalidJsonAnswerError if it was not what was asked for."""
        before, thought = len(self._written), ""
        if self._phase is not _Phase.END and not self._written:
            text, self._kept = self._undecided + "".join(self._kept), []
            if self._is_json(text):
                return Parted(text)
            thought = self._find(text)
        if self._phase is _Phase.VALUE:
            self._written.append(self._json.finish())
        after = self._after()
        if self._json.is_too_long:
            _refuse(f"is not JSON, and is longer than the {MOST_MENDED_CHARACTERS} characters that are mended")
        if not self._json.is_complete or _BRACKET.search(after):
            _refuse("is not JSON, and cannot be made so without changing what it says")
        if not before or after.strip():
            after = ""
        self._written.append(after)
        check_value(parse("".join(self._written)), self._format)
        return Parted("".join(self._written[before:]), thought)

    def give_up(self) -> Parted:
        """Return the rest as it came: of an answer that was cut off, or is not to be JSON after all."""
        if self._phase is _Phase.THOUGHT:
            return Parted("", self._undecided)
        rest = self._undecided + self._after()
        is_noise = self._phase is _Phase.END and rest.strip() and not _BRACKET.search(rest)
        return Parted("" if is_noise else rest)

    def _begin(self, text: str) -> Parted:
        begun = text.lstrip(_WHITE)
        self._undecided = ""
        if begun.startswith(_THINK):
            self._phase = _Phase.THOUGHT
            self._has_thought = True
            return self._think(begun.removeprefix(_THINK))
        if opening := _OPENING.match(begun):
            self._phase = _Phase.VALUE
            is_bare = not opening[0] and not self._has_thought
            self._written.append(text[: len(text) - len(begun)] if is_bare else "")
            return Parted(self._written[0] + self._read(begun[opening.end() :]))
        may_become_more = _THINK.startswith(begun) or _BEGUN_FENCE.fullmatch(begun)
        if may_become_more and len(text) < _MOST_UNDECIDED_CHARACTERS:
            self._undecided = text
            return Parted("")
        self._phase = _Phase.WAITING
        self._kept.append(text)
        return Parted("")

    def _think(self, text: str) -> Parted:
        thought, end, rest = text.partition(_END_OF_THINK)
        if end:
            self._phase = _Phase.BEGINNING
            begun = self._begin(rest)
            return Parted(begun.content, thought + begun.thought)
        # What may be the beginning of the tag that ends it.
        kept = next((size for size in range(len(_END_OF_THINK) - 1, 0, -1) if text.endswith(_END_OF_THINK[:size])), 0)
        self._undecided = text[len(text) - kept :]
        return Parted("", text[: len(text) - kept])

    def _read(self, text: str) -> str:
        written = self._json.feed(text)
        self._written.append(written)
        if self._json.is_complete:
            self._phase = _Phase.END
        elif self._json.is_broken:
            self._phase = _Phase.WAITING
        return written

    def _after(self) -> str:
        return self._json.unwritten + "".join(self._kept)

    def _is_json(self, text: str) -> bool:
        try:
            value = parse(text)
        except ValueError:
            return False
        check_value(value, self._format)
        return True

    def _find(self, text: str) -> str:
        """Read the value in a text that does not begin with it; returns the thought before it."""
        thought, _, said = text.rpartition(_END_OF_THINK)
        bracket = _OPENING_BRACKET.search(said)
        if bracket is None:
            _refuse("there is no JSON object or array in the answer")
        self._read(said[bracket.start() :])
        return thought


def _joined(one: Parted, other: Parted) -> Parted:
    return Parted(one.content + other.content, one.thought + other.thought)


def _refuse(reason: str) -> NoReturn:
    raise InvalidJsonAnswerError((f"$: {reason}",))
