"""Keep-alive connections to one endpoint: a request goes out whole, and its answer comes back whole and in time.

A socket's time-out counts anew for each read, so a server that sends a byte now and then would hold a call for ever.
Here each read may take what is left of the call.
"""

import contextlib
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from sluice.loading.dataclass import dataclass
from sluice.storage.http_answer import ConnectionClosedError, GarbledAnswerError, HttpAnswer, read_answer
from sluice.storage.tls import tls_context

# DynamoDB closes connections that were idle for a minute (github.com/aws/aws-sdk-java/issues/1365), which a frozen
# function does not hear of at once.
_MOST_IDLE_S = 50.0
_MOST_IDLE_CONNECTIONS = 64
_RECEIVED_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}


type SocketAddress = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""An address of a host and port, as socket.getaddrinfo has it."""


class ExchangeError(Exception):
    """A request got no answer. `reason` says why in a few words, and nothing that was sent.

    `is_unsent`: not all of the request left this process, so nobody can have acted on it. `is_stale`: the connection
    had been used before and was closed without a byte of an answer, as one that the server no longer keeps is.
    """

    def __init__(self, reason: str, *, is_unsent: bool = False, is_stale: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_unsent = is_unsent
        self.is_stale = is_stale


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service listens. `authority` is what the Host header says."""

    is_tls: bool
    host: str
    port: int
    authority: str

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The endpoint that an http or https URL without a path names. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise ValueError(f"an endpoint is http:// or https://, a host and perhaps a port, not {url!r}")
        port = parts.port or _PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        authority = host if port == _PORTS[parts.scheme] else f"{host}:{port}"
        return cls(parts.scheme == "https", parts.hostname, port, authority)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to connect, of silence, and until the whole answer to a request is here."""

    connect_s: float = 1.0
    silence_s: float = 2.0
    answer_s: float = 5.0


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """An answer, and when its request was sent and it had arrived: seconds since the epoch, by this machine's clock."""

    answer: HttpAnswer
    sent_s: float
    received_s: float


class ConnectionPool:
    """Connections to one `endpoint`. Threads share it, and each request has a connection to itself."""

    def __init__(
        self,
        endpoint: Endpoint,
        timeouts: Timeouts,
        ca_bundle: str = "",
        addresses: Sequence[SocketAddress] | None = None,
    ) -> None:
        """With `addresses` it connects to one of those, and does not ask what the host's name stands for."""
        self.endpoint = endpoint
        self._addresses = addresses
        self._timeouts = timeouts
        self._ca_bundle = ca_bundle
        # Its ends are taken and given by single operations, which threads need no lock for.
        self._idle: deque[_Connection] = deque()
        self._process_id = os.getpid()

    def prepare(self) -> None:
        """Make what a connection needs and can be shared. Nothing connects."""
        if self.endpoint.is_tls:
            tls_context(self._ca_bundle)

    def exchange(self, request: bytes, until_s: float, *, anew: bool = False, head_only: bool = False) -> TimedAnswer:
        """Send `request` and return its answer before `until_s`, a moment of the monotonic clock.

        `anew`: on a connection that nothing was sent on yet. `head_only`: nothing is read of the answer's body. Raises
        ExchangeError.
        """
        connection = None if anew else self._take()
        is_used = connection is not None
        try:
            connection = connection or self._connect(until_s)
        except (OSError, UnicodeError) as error:
            raise ExchangeError(_reason(error), is_unsent=True) from error
        until_s = min(until_s, time.monotonic() + self._timeouts.answer_s)
        is_sent = False
        try:
            sent_s = time.time()
            connection.send(request, until_s)
            is_sent = True
            answer = connection.receive(until_s, head_only=head_only)
            received_s = time.time()
        except (OSError, ConnectionClosedError, GarbledAnswerError) as error:
            connection.close()
            if is_used:
                # What closed this one has closed the others as well, or never saw them.
                self._close_idle()
            is_stale = is_used and not connection.has_received and not isinstance(error, TimeoutError)
            raise ExchangeError(_reason(error), is_unsent=not is_sent, is_stale=is_stale) from error
        except BaseException:
            connection.close()
            raise
        if answer.is_last:
            connection.close()
        else:
            self._give(connection)
        return TimedAnswer(answer, sent_s, received_s)

    def _take(self) -> "_Connection | None":
        if self._process_id != os.getpid():
            # A child must not speak on its parent's connections.
            self._idle.clear()
            self._process_id = os.getpid()
        while True:
            try:
                # The one that was used last: the others may grow old and be closed.
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()

    def _give(self, connection: "_Connection") -> None:
        connection.idle_since_s = time.monotonic()
        self._idle.append(connection)
        if len(self._idle) > _MOST_IDLE_CONNECTIONS:
            with contextlib.suppress(IndexError):
                self._idle.popleft().close()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _connect(self, until_s: float) -> "_Connection":
        """Connect to the first address of the host that answers; all of them together have the time of one."""
        endpoint = self.endpoint
        until_s = min(until_s, time.monotonic() + self._timeouts.connect_s)
        failure: OSError = ConnectionError("the host has no address")
        for family, kind, protocol, _, address in self._resolved():
            opened = socket.socket(family, kind, protocol)
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.settimeout(_left_s(until_s))
                opened.connect(address)
                if endpoint.is_tls:
                    opened.settimeout(_left_s(until_s))
                    opened = tls_context(self._ca_bundle).wrap_socket(opened, server_hostname=endpoint.host)
            except OSError as error:
                opened.close()
                failure = error
            except BaseException:
                opened.close()
                raise
            else:
                return _Connection(opened, self._timeouts.silence_s)
        raise failure

    def _resolved(self) -> Sequence[SocketAddress]:
        if self._addresses is not None:
            return self._addresses
        return socket.getaddrinfo(self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM)


class _Connection:
    """A connected socket."""

    def __init__(self, opened: socket.socket, silence_s: float) -> None:
        self._socket = opened
        self._silence_s = silence_s
        self.idle_since_s = 0.0
        self.has_received = False

    def is_usable(self) -> bool:
        """Whether the server still keeps it, as far as this side has heard: there is nothing to read yet."""
        if time.monotonic() - self.idle_since_s > _MOST_IDLE_S:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, request: bytes, until_s: float) -> None:
        """Send all of `request`."""
        self.has_received = False
        self._socket.settimeout(min(_left_s(until_s), self._silence_s))
        self._socket.sendall(request)

    def receive(self, until_s: float, *, head_only: bool) -> HttpAnswer:
        """Read the answer to what was sent."""

        def more() -> bytes:
            self._socket.settimeout(min(_left_s(until_s), self._silence_s))
            part = self._socket.recv(_RECEIVED_BYTES)
            self.has_received = self.has_received or bool(part)
            return part

        return read_answer(more, head_only=head_only)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no time is left")
    return left_s


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case ConnectionClosedError():
            return "the connection was closed"
        case GarbledAnswerError():
            return "what came is not an HTTP answer"
        case ssl.SSLCertVerificationError():
            return "the server's certificate is not trusted"
        case ssl.SSLError():
            return "the connection can't be encrypted"
        case socket.gaierror() | UnicodeError():
            return "the host's name can't be resolved"
        case _:
            return type(error).__name__
