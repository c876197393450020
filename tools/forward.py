"""Lets containers reach a port of the loopback interface."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK_BYTES = 65_536


@contextmanager
def forwarding(host: str, port: int) -> Iterator[None]:
    """Forward connections to a port at `host` to the same port of 127.0.0.1, until the end of the block.

    Raises OSError if `host` is no address of this machine, or the port is taken there.
    """

    class Handler(socketserver.BaseRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Carry bytes both ways until one side ends."""
            with socket.create_connection(("127.0.0.1", port)) as target:
                back = threading.Thread(target=_carry, args=(target, self.request), daemon=True)
                back.start()
                _carry(self.request, target)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        """Ends with its block, whatever is still open."""

        daemon_threads = True
        allow_reuse_address = True

    with Server((host, port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # the other side has gone: there is nobody to carry to
        source.close()
