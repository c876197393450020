"""Server-sent events, as the HTML standard defines them (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_LINE_BYTES = 16 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_ERROR = b"error"


class Event(NamedTuple):
    """One event: its type, empty if it is a plain message, and its data, the lines joined by newlines."""

    name: str
    data: str


def events(parts: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events; `parts` may be cut anywhere, also within a character.

    Three things are read more generously than the standard has them: what stands unfinished at the end is an event too,
    since some servers leave out the last blank line; an event of the type "error" needs no data; and bytes that are no
    UTF-8 are replaced. Raises ValueError if a line has no end.
    """
    name = b""
    data: list[bytes] = []
    for line in _lines(parts):
        if not line:
            if data or name == _ERROR:
                yield _event(name, data)
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        # Comments have an empty field name; ids and retry times mean nothing in a chat.
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    if data or name == _ERROR:
        yield _event(name, data)


def _event(name: bytes, data: list[bytes]) -> Event:
    return Event(name.decode("utf-8", "replace"), b"\n".join(data).decode("utf-8", "replace"))


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield lines without their end, which is \n, \r\n or \r."""
    rest = b""
    is_start, ended_in_cr = True, False
    for part in parts:
        # A \n that opens a part belongs to the \r that closed the one before: together they are one end of line.
        content = part.removeprefix(b"\n") if ended_in_cr and part else part
        ended_in_cr = ended_in_cr if not part else part.endswith(b"\r")
        lines = (rest + content).splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError(f"a line has more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            yield (line.removeprefix(BYTE_ORDER_MARK) if is_start else line).rstrip(b"\r\n")
            is_start = False
    if rest:
        yield rest.removeprefix(BYTE_ORDER_MARK) if is_start else rest
