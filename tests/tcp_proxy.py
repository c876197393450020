"""A proxy between clients of DynamoDB and MiniStack that can be cut, or answer as a throttled DynamoDB does."""

import json
import math
import socket
import threading
import time
from contextlib import suppress
from typing import Self

from sluice.storage.aws_credentials import source_of
from sluice.storage.connections import Endpoint
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Signer

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
    """Passes on what comes to `url`, signed anew for the host that it is passed to, as `config` says.

    `mode` is `open`, `cut` (connections are closed at once), `silent` (nothing is answered) or `throttled`.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._target = Endpoint.from_url(config.endpoint_url)
        self._credentials = source_of(config.credentials)
        self._signer = Signer(region=config.region, service="dynamodb")
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
                if self.mode == "silent":
                    self.refused += 1
                    continue
                if self.mode == "throttled":
                    self.refused += 1
                    client.sendall(_HEAD + _THROTTLED)
                    continue
                if upstream is None:
                    upstream = socket.create_connection((self._target.host, self._target.port))
                    threading.Thread(target=self._pump, args=(upstream, client), daemon=True).start()
                upstream.sendall(self._readdressed(request))

    def _readdressed(self, request: bytes) -> bytes:
        """The request for MiniStack, whose gate takes none that is for another host; the host is signed."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        sent = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        kept = {name: sent[name] for name in ("content-type", "x-amz-target")} | {"host": self._target.authority}
        signed = self._signer.sign(kept, body, self._credentials.get(math.inf), time.time())
        fields = [f"{name}: {value}" for name, value in {**signed, "content-length": str(len(body))}.items()]
        return "\r\n".join([line, *fields, "", ""]).encode("latin-1") + body

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
