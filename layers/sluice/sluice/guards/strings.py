"""Every string of a request or an answer, wherever it is: so that a field that nobody thought of is read too."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from sluice.guards.work import WorkMeter

MOST_VALUES = 50_000
"""How many values a request or an answer may have, names of members included: some 20 ms of walking."""

type Path = tuple[str, ...]
"""The names that lead to a string; positions in lists are left out."""

# A run of backslashes before a character: JSON in JSON doubles them with each level.
_ESCAPES = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_WRITTEN = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}

_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
# Shorter ones are decoded where a rule's pattern sees them.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{1024,}|[A-Za-z0-9_-]{4096,})={0,2}\s*")
_SAMPLE_CHARACTERS = 4096
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\f\r\x1b")


# Strings shorter than this are read together: names, kinds, keys. Nothing reads on across the separator.
_SHORT_CHARACTERS, SEPARATOR = 60, "\n\0\n"
SAYS_NOTHING = frozenset(
    (
        *("arguments", "assistant", "auto", "content", "description", "enum", "function", "id", "index", "name"),
        *("object", "parameters", "properties", "required", "role", "string", "text", "tool", "type", "url", "user"),
    )
)
"""The API's own words, of which every message has some: a string that is no more than one of them is not read."""
_NAME = ""  # the last step of a path to the name of a member
_UNCOUNTED = frozenset((_NAME, "type"))
# What is said here goes to the model as text, also where it could be Base64 of something.
_SPOKEN = frozenset(("content", "text"))


class Text(NamedTuple):
    """A text that is judged by itself. `is_joined`: strings run on into each other, as they may be put together."""

    said: str
    is_joined: bool = False


class Reading(NamedTuple):
    """All that a JSON value says. `characters`: of all its strings, names of members and kinds aside."""

    texts: list[Text]
    characters: int


def read(value: Any, meter: WorkMeter) -> Reading:
    """Read a JSON value. Raises WorkLimitError where it has more values than `meter` allows."""
    by_path: dict[Path, list[str]] = {}
    characters = 0
    for path, string in strings(value, meter):
        name = path[-1] if path else ""
        said = readable(string) or (string if name in _SPOKEN else "")
        if not path or name not in _UNCOUNTED:
            characters += len(string if name in _SPOKEN else said)
        if said and string not in SAYS_NOTHING:
            by_path.setdefault(path, []).append(said)
    found: list[Text] = []
    short: list[str] = []
    for several in by_path.values():
        if len(several) > 1:
            found += (Text("\n".join(several)), Text("".join(several), is_joined=True))
        elif len(several[0]) < _SHORT_CHARACTERS:
            short += several
        else:
            found.append(Text(several[0]))
    if short:
        found.append(Text(SEPARATOR.join(short)))
    return Reading(found, characters)


def strings(value: Any, meter: WorkMeter) -> Iterator[tuple[Path, str]]:
    """All strings in a JSON value, in order, and the names of its members. Raises WorkLimitError."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, node = waiting.pop()
        meter.spend(1)
        if isinstance(node, str):
            yield path, node
        elif isinstance(node, dict):
            meter.spend(len(node))
            yield from (((*path, _NAME), name) for name in node)
            waiting += (((*path, name), inner) for name, inner in reversed(node.items()))
        elif isinstance(node, list):
            meter.spend(len(node))
            waiting += ((path, inner) for inner in reversed(node))


def readable(text: str) -> str:
    """What a string says: the text that it is Base64 of, nothing if it is Base64 of something else, or itself."""
    url = _DATA_URL.match(text)
    if url is None and (len(text) < 1024 or not _BASE64.fullmatch(text)):
        return text
    encoded = text[url.end() if url else 0 :]
    sample = _decoded(encoded[:_SAMPLE_CHARACTERS])
    if sample is None:
        return text
    return _as_text(_decoded(encoded) or b"") if _is_text(sample) else ""


def unescaped(text: str) -> str:
    """The string with all escapes undone, as whoever parses JSON or code in it reads it.

    What is found in a string is found in this too.
    """
    if "\\" not in text:
        return text
    plain = _ESCAPES.sub(_unescaped, text)
    # The two halves of a character beyond the first plane make one.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescaped(escape: re.Match[str]) -> str:
    code, character = escape[1] or escape[2], escape[3]
    if code:
        return chr(int(code, 16))
    # A backslash before another letter parts words, as in the path of a file.
    return _WRITTEN.get(character) or (f" {character}" if character.isalpha() else character)


def _decoded(encoded: str) -> bytes | None:
    digits = encoded.rstrip().rstrip("=").replace("-", "+").replace("_", "/")
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_text(sample: bytes) -> bool:
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    # The sample may end within a character.
    unread = sample.decode("utf-8", "replace").count("\ufffd") - 1
    return (controls + unread) * 20 <= len(sample)


def _as_text(content: bytes) -> str:
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if is_utf16 else "utf-8", "replace")
