"""Text as it comes from outside. Pure.

JSON and many programs write characters beyond U+FFFF as two surrogates, and a model's tokens, or whoever cuts a text
short, may leave half of such a pair. Half a pair is no character: it can't be encoded, and so it would stop whatever
comes to it next. Halves that follow one another are joined; what stays half becomes U+FFFD.
"""

import re

from pydantic import BeforeValidator

_HALF = re.compile("[\ud800-\udfff]")
_HIGH = re.compile("[\ud800-\udbff]\\Z")
_MAY_BE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _in_lower_case(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


IN_ANY_CASE = BeforeValidator(_in_lower_case)
"""Of a field that takes some words in lower case: a caller may write them in any."""


def whole_characters(text: str) -> str:
    """`text` with pairs of surrogates joined and halves replaced."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_characters_of_json(raw: bytes) -> bytes:
    r"""A JSON document with `\ufffd` in place of each escaped half of a pair."""
    if not _MAY_BE_HALF.search(raw):
        return raw
    return _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw)


class CharacterJoiner:
    """Joins pairs that are cut between the parts of a text: the first half waits for what comes next."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, part: str) -> str:
        """The next part, as far as its characters are whole."""
        text = self._held + part
        self._held = text[-1:] if _HIGH.search(text) else ""
        return whole_characters(text.removesuffix(self._held)) if self._held else whole_characters(text)

    def rest(self) -> str:
        """What the text ends with if its last character stayed half."""
        held, self._held = self._held, ""
        return whole_characters(held)
