"""An HTTP server on loopback that does to each request what a script says: answers it, or fails in some way."""

import json
import socket
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Self

type Act = Callable[[socket.socket], bool]
"""What is done on a connection once a request has arrived; whether another may come on it."""

_HURRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrived; `connection` counts from 0, names of headers are in lower case."""

    connection: int
    line: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


class ScriptedServer:
    """Acts out a script, an act for each request, and from its end on what `otherwise` says: it answers {}."""

    def __init__(self, *script: Act) -> None:
        self._script = deque(script)
        self.otherwise: Callable[[Request], Act] = lambda _: answer({})
        self.requests: list[Request] = []
        self.closed_connections = 0
        self._connections = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, name="scripted-server", daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._listener.close()

    @property
    def connections(self) -> int:
        """How many connections came."""
        return self._connections

    def wait_for_closed(self, number: int) -> None:
        """Wait until this side has closed so many connections."""
        for _ in range(int(_HURRY_S / 0.01)):
            if self.closed_connections >= number:
                return
            self._over.wait(0.01)
        raise AssertionError(f"{self.closed_connections} connections are closed, and not {number}")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                number = self._connections
                self._connections += 1
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            goes_on = True
            while goes_on and (request := _read_request(connection, number)):
                with self._lock:
                    self.requests.append(request)
                    act = self._script.popleft() if self._script else self.otherwise(request)
                goes_on = act(connection)
        self.closed_connections += 1


def _read_request(connection: socket.socket, number: int) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return None
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Request(number, line, headers, body)


def http(body: bytes, status: int = 200, headers: Mapping[str, str | None] | None = None) -> bytes:
    """An answer as DynamoDB gives it; a header that is None is left out."""
    fields = {
        "Server": "Server",
        "Date": formatdate(usegmt=True),
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(body)),
        "Connection": "keep-alive",
        "x-amzn-RequestId": "6R4CVBKVB1Q7B0JKRQ9J5LL3JVVV4KQNSO5AEMVJF66Q9ASUAAJG",
        "x-amz-crc32": str(zlib.crc32(body)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body


def answer(content: Any, status: int = 200, headers: Mapping[str, str | None] | None = None) -> Act:
    """Answer in JSON."""
    return raw(http(json.dumps(content).encode(), status, headers))


def refuse(code: str, status: int = 400, **fields: Any) -> Act:
    """Answer with an error of DynamoDB's."""
    return answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "secret words", **fields}, status)


def raw(content: bytes, *, then_close: bool = False) -> Act:
    """Send these bytes."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(content)
        return not then_close

    return act


def in_parts(*parts: bytes, pause_s: float = 0.02) -> Act:
    """Send these bytes, with a pause after each part."""

    def act(connection: socket.socket) -> bool:
        for part in parts:
            connection.sendall(part)
            threading.Event().wait(pause_s)
        return True

    return act


def drip(content: bytes, pause_s: float) -> Act:
    """Send byte after byte, with a pause after each."""
    return in_parts(*_bytes(content), pause_s=pause_s)


def _bytes(content: bytes) -> Iterable[bytes]:
    return (content[at : at + 1] for at in range(len(content)))


def close(connection: socket.socket) -> bool:
    """Close the connection in place of an answer."""
    return False


def reset(connection: socket.socket) -> bool:
    """Break the connection off in place of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def keep_silent(connection: socket.socket) -> bool:
    """Say nothing until the client hangs up."""
    connection.settimeout(_HURRY_S)
    return bool(connection.recv(1))
