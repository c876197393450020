"""A proxy between boto3 and MiniStack that can be cut, or answer as a throttled DynamoDB does."""

import json
import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_THROTTLED = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The level of configured provisioned throughput for the table was exceeded.",
    }
).encode()

_HEAD = (
    f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(_THROTTLED)}\r\n\r\n"
).encode()


class TcpProxy:
    """Passes on what comes to `url`; `mode` is `open`, `cut` (connections are closed at once) or `throttled`."""

    def __init__(self, target_url: str) -> None:
        parts = urlsplit(target_url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.mode = "open"
        self.refused = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="tcp-proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            upstream: socket.socket | None = None
            while request := self._read_request(client):
                if self.mode == "cut":
                    self.refused += 1
                    return
                if self.mode == "throttled":
                    self.refused += 1
                    client.sendall(_HEAD + _THROTTLED)
                    continue
                if upstream is None:
                    upstream = socket.create_connection(self._target)
                    threading.Thread(target=self._pump, args=(upstream, client), daemon=True).start()
                upstream.sendall(request)

    def _read_request(self, client: socket.socket) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request:
            part = client.recv(65536)
            if not part:
                return b""
            request += part
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            part = client.recv(65536)
            if not part:
                return b""
            body += part
            request += part
        return request

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source:
            while part := source.recv(65536):
                target.sendall(part)
