"""From the bytes of an answer to JSON, leniently: whatever can be told from them is taken. Pure.

Providers are asked for JSON or for server-sent events, uncompressed. Some answer with the other, with one object per
line, or compressed all the same.
"""

import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from sluice.chat import JsonObject
from sluice.providers.sse import BYTE_ORDER_MARK, events
from sluice.validation.text import whole_characters

MAX_ANSWER_BYTES = 16 * 1024 * 1024
# More than a whole answer may have, because each chunk of a stream repeats its frame.
MAX_STREAM_BYTES = 2 * MAX_ANSWER_BYTES

_DONE: Final = "[DONE]"
_MAY_BE_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_KEEP_ALIVE = re.compile(
    r"(?:[:#\s-]*(?:[a-z]* )?(?:ping|pong|keep-?_?\s?alive|heart-?\s?beat|processing|waiting)\W*)?", re.I
)
_IS_EVENTS = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_IS_JSON = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*[\[{]")
_FIRST_BYTES = 64
_BLANK = b" \t\r\n" + BYTE_ORDER_MARK

# zlib's window bits: with a zlib header, with gzip's, with none. Servers disagree on what "deflate" is.
_GZIP, _ZLIB, _BARE = 31, 15, -15
_GZIP_MAGIC = b"\x1f\x8b"


class UnreadableError(ValueError):
    """An answer that is not what its provider's API promises. Its message quotes nothing of it."""


def inflated(parts: Iterable[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    """The bytes of a body that may be compressed as `encoding` says, `max_bytes` at most. Raises UnreadableError."""
    count = 0
    for part in _decompressed(iter(parts), encoding.strip().lower(), max_bytes):
        count += len(part)
        if count > max_bytes:
            raise UnreadableError(f"the answer has more than {max_bytes} bytes")
        yield part


def _decompressed(parts: Iterator[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    first = next(filter(None, parts), b"")
    while len(first) < len(_GZIP_MAGIC) and (more := next(parts, None)) is not None:
        first += more
    # Told by its bytes: the header is sometimes missing, and sometimes left over from before somebody decompressed it.
    if first.startswith(_GZIP_MAGIC):
        bits = _GZIP
    elif encoding in ("", "identity") or not first or _IS_JSON.match(first) or _IS_EVENTS.match(first):
        yield first
        yield from parts
        return
    elif encoding == "deflate":
        bits = _ZLIB if first[0] & 0x0F == zlib.DEFLATED and int.from_bytes(first[:2]) % 31 == 0 else _BARE
    else:
        raise UnreadableError("the answer is compressed in a way that was not asked for")
    decompressor = zlib.decompressobj(bits)
    for part in chain([first], parts):
        try:
            # One byte more than may be, so that a small body that grows without end stops being unpacked.
            yield decompressor.decompress(part, max_bytes + 1)
        except zlib.error:
            raise UnreadableError("the answer is compressed, and cannot be decompressed") from None
    if not decompressor.eof:
        raise UnreadableError("the answer is compressed, and ends too early")


def json_in(content: bytes | str) -> Any:
    """A JSON document as Python reads it: numbers that are none become None. Raises UnreadableError.

    Texts in it may have halves of characters, whose other halves are in the next document.
    """
    text = content if isinstance(content, str) else content.decode(json.detect_encoding(content), "replace")
    text = text.removeprefix("\ufeff")
    try:
        try:
            return _LENIENT.decode(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # More digits than Python reads: the only other ValueError of json.
            return _WITHOUT_LONG_NUMBERS.decode(text)
    except (ValueError, RecursionError):
        raise UnreadableError("the answer is not JSON") from None


def _nothing(_: str) -> None:
    return None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _short(text: str) -> int | None:
    return int(text) if len(text) < 1000 else None


_LENIENT = json.JSONDecoder(strict=False, parse_constant=_nothing, parse_float=_finite)
_WITHOUT_LONG_NUMBERS = json.JSONDecoder(strict=False, parse_constant=_nothing, parse_float=_finite, parse_int=_short)


def is_events(content: bytes) -> bool:
    """Whether a body that was to be JSON is a stream of server-sent events."""
    return _IS_EVENTS.match(content) is not None


class Decoded(NamedTuple):
    """One object of a streamed body, None where the provider says that it is done."""

    body: JsonObject | None
    may_have_halves: bool = False
    """Whether a text in it may begin or end with half a character, the other half of which is in another object."""


def objects_in(parts: Iterable[bytes]) -> Iterator[Decoded]:
    """The objects of a streamed body as they arrive.

    An event named "error" that does not say of itself that it is one comes as `{"error": ...}`; keep-alives do not come
    at all. Raises UnreadableError.
    """
    rest = iter(parts)
    first = b""
    for part in rest:
        first += part
        if len(first) >= _FIRST_BYTES or first.strip(_BLANK):
            break
    if _IS_JSON.match(first):
        yield from _objects(b"".join([first, *rest]))
        return
    try:
        for event in events(chain([first], rest)):
            yield from _of_event(event.name, event.data.strip())
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def _of_event(name: str, data: str) -> Iterator[Decoded]:
    is_error = name.strip().lower() == "error"
    if not data.startswith("{"):
        if data.strip("\"'").upper() == _DONE:
            yield Decoded(None)
            return
        if not is_error and _KEEP_ALIVE.fullmatch(data):
            return
    try:
        value = json_in(data)
    except UnreadableError:
        lines = data.splitlines()
        if len(lines) > 1:
            # No blank lines between the events.
            for line in lines:
                yield from _of_event(name, line.strip())
            return
        if not is_error:
            raise
        value = data
    if is_error:
        has_name = isinstance(value, dict) and value.get("error")
        yield Decoded(value if has_name else {"error": value or "an error event"}, may_have_halves=True)
    elif isinstance(value, dict):
        yield Decoded(value, _MAY_BE_HALF.search(data) is not None)
    elif value is not None:
        raise UnreadableError("the answer is not a JSON object")


def _objects(content: bytes) -> Iterator[Decoded]:
    """Those of a body that is JSON: one object, a list of them, or one in each line."""
    try:
        value = json_in(content)
    except UnreadableError:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        value = [json_in(line) for line in lines]
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise UnreadableError("the answer is not a JSON object")
        yield Decoded(each, may_have_halves=True)


def without_halves(value: Any) -> Any:
    """A decoded document in which every text has whole characters only. Raises UnreadableError."""
    try:
        return _without_halves(value)
    except RecursionError:
        raise UnreadableError("the answer is nested too deeply") from None


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else whole_characters(value)
    if isinstance(value, dict):
        return {whole_characters(name): _without_halves(inner) for name, inner in value.items()}
    return [_without_halves(inner) for inner in value] if isinstance(value, list) else value
