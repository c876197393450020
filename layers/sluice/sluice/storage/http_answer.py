"""Reads one HTTP/1.1 answer, of the kind that AWS's services give, from the bytes that arrive.

Source: RFC 9112. What no service of AWS sends is refused rather than guessed at. Why this is not http.client's work:
docs/decisions/0028-dynamodb-is-spoken-to-directly.md.
"""

import re
from collections.abc import Callable, Mapping

from sluice.loading.dataclass import dataclass

_MOST_HEAD_BYTES = 64 * 1024
# BatchGetItem answers with 16 MB of items, which are more in JSON.
_MOST_BODY_BYTES = 64 * 1024 * 1024
_MOST_LINE_BYTES = 1024
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?")
_LENGTH = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,8}")
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_LINE = b"\r\n"
_NO_BODY = (204, 304)


class GarbledAnswerError(Exception):
    """What arrived is not an HTTP answer."""


class ConnectionClosedError(Exception):
    """The connection was closed before the answer was whole."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer with its body. Names of headers are in lower case; `is_last`: the connection can't be used again."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_last: bool


def read_answer(receive: Callable[[], bytes], *, head_only: bool = False) -> HttpAnswer:
    """Read an answer, calling `receive` for more bytes until it is whole; b"" says that there are no more.

    `head_only`: its body is left unread, and the connection can't be used again.

    Raises GarbledAnswerError, ConnectionClosedError, and whatever `receive` raises.
    """
    incoming = _Incoming(receive)
    is_first_version, status, headers = _parse_head(incoming.until(_END_OF_HEAD, _MOST_HEAD_BYTES))
    while status < 200:  # an interim answer announces the final one
        is_first_version, status, headers = _parse_head(incoming.until(_END_OF_HEAD, _MOST_HEAD_BYTES))
    if head_only:
        return HttpAnswer(status, headers, b"", is_last=True)
    if status in _NO_BODY:
        body = b""
    elif (encoding := headers.get("transfer-encoding")) is not None:
        if encoding.lower() != "chunked":
            raise GarbledAnswerError("a transfer encoding that is not known")
        body = _read_chunks(incoming)
    else:
        body = incoming.exactly(_body_bytes(headers))
    is_last = is_first_version or "close" in headers.get("connection", "").lower() or incoming.has_more
    return HttpAnswer(status, headers, body, is_last)


def _parse_head(head: bytes) -> tuple[bool, int, dict[str, str]]:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise GarbledAnswerError("no status line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name[0] in " \t":
            raise GarbledAnswerError("a header that is none")
        name = name.lower()
        if name == "content-length" and name in headers:
            raise GarbledAnswerError("two lengths")
        headers[name] = value.strip()
    return match[1] == "0", int(match[2]), headers


def _body_bytes(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    if _LENGTH.fullmatch(text) is None or int(text) > _MOST_BODY_BYTES:
        raise GarbledAnswerError("no length, or an impossible one")
    return int(text)


def _read_chunks(incoming: "_Incoming") -> bytes:
    parts: list[bytes] = []
    total = 0
    while True:
        size_text = incoming.until(_END_OF_LINE, _MOST_LINE_BYTES).partition(b";")[0].strip()
        if _HEX.fullmatch(size_text) is None:
            raise GarbledAnswerError("a chunk without a size")
        size = int(size_text, 16)
        total += size
        if total > _MOST_BODY_BYTES:
            raise GarbledAnswerError("an impossible length")
        if size == 0:
            break
        parts.append(incoming.exactly(size))
        if incoming.exactly(2) != _END_OF_LINE:
            raise GarbledAnswerError("a chunk without an end")
    while incoming.until(_END_OF_LINE, _MOST_LINE_BYTES):
        pass  # trailers say nothing that is used here
    return b"".join(parts)


class _Incoming:
    """Bytes as they arrive, of which some are taken at a time."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._buffer = b""

    @property
    def has_more(self) -> bool:
        """Whether bytes have arrived that nobody took."""
        return bool(self._buffer)

    def until(self, mark: bytes, most: int) -> bytes:
        """What comes before `mark`, which is taken as well."""
        begin = 0
        while (end := self._buffer.find(mark, begin)) < 0:
            if len(self._buffer) > most:
                raise GarbledAnswerError("a head or a line without an end")
            begin = max(0, len(self._buffer) - len(mark) + 1)
            self._buffer += self._more()
        taken, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return taken

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes."""
        if len(self._buffer) >= count:
            taken, self._buffer = self._buffer[:count], self._buffer[count:]
            return taken
        parts = [self._buffer]
        missing = count - len(self._buffer)
        while missing > 0:
            part = self._more()
            parts.append(part)
            missing -= len(part)
        if missing == 0:
            self._buffer = b""
        else:
            self._buffer = parts[-1][missing:]
            parts[-1] = parts[-1][:missing]
        return b"".join(parts)

    def _more(self) -> bytes:
        part = self._receive()
        if not part:
            raise ConnectionClosedError("the connection was closed before the answer was whole")
        return part
