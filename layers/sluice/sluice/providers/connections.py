"""The connections to all providers: one pool, in which a time-out bounds the whole call.

HTTP clients count a time-out anew for each read, so a server that sends a byte now and then holds them for ever. Here
the moment at which a call must be over is passed down to the socket in the time-out's place (httpcore hands both on
untouched), and each read and write may take what is left. Import this late: it brings httpcore.
"""

import contextlib
import os
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import httpcore

from sluice.errors import ProviderError, ProviderProtocolError, ProviderTimeoutError, ProviderUnavailableError
from sluice.providers.decoding import UnreadableError, inflated
from sluice.providers.guard import Guard, guard_of
from sluice.storage.addresses import AddressRefusedError
from sluice.storage.connections import SocketAddress
from sluice.storage.tls import tls_context

OK = 200
# A connection comes about at once or not at all; another deployment can use the time.
CONNECT_TIMEOUT_S = 3.0
# Shorter than the idle time-outs of the load balancers in front of providers (60 s and more).
KEEPALIVE_EXPIRY_S = 30.0
MAX_IDLE_CONNECTIONS = 20
WRITE_BYTES = 64 * 1024
# An error's body is for its message only: another deployment can use the time.
ERROR_BODY_S = 0.5
MAX_ERROR_BYTES = 64 * 1024

type SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]


class DeadlineStream(httpcore.NetworkStream):
    """A socket whose every `timeout` is a moment of the monotonic clock."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._deadline_s = 0.0
        self._moved: tuple[float, float] | None = None

    def allow(self, deadline_s: float, until_s: float) -> None:
        """Let the call whose deadline was `deadline_s` read until `until_s`, unless the connection has passed on."""
        if self._deadline_s == deadline_s:
            self._moved = (deadline_s, until_s)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is, until the deadline."""
        self._deadline_s = _moment(timeout)
        return self._inner.read(max_bytes, _left_s(self._until_s(), httpcore.ReadTimeout))

    def _until_s(self) -> float:
        return self._moved[1] if self._moved is not None and self._moved[0] == self._deadline_s else self._deadline_s

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`, until the deadline."""
        deadline_s = _moment(timeout)
        for start in range(0, len(buffer), WRITE_BYTES):
            self._inner.write(buffer[start : start + WRITE_BYTES], _left_s(deadline_s, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands."""
        left_s = _left_s(_moment(timeout), httpcore.ConnectTimeout)
        return DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, min(left_s, CONNECT_TIMEOUT_S)))

    def get_extra_info(self, info: str) -> Any:
        """Whatever the socket knows of itself."""
        return self._inner.get_extra_info(info)


class Allowance:
    """The time of one call, which may be changed while its answer is read."""

    def __init__(self, stream: DeadlineStream, deadline_s: float) -> None:
        self._stream = stream
        self._deadline_s = deadline_s
        self._until_s = deadline_s

    def allow(self, until_s: float) -> None:
        """Let the rest of the answer come until `until_s`, a moment of the monotonic clock."""
        self._until_s = until_s
        self._stream.allow(self._deadline_s, until_s)

    def hurry(self, within_s: float) -> None:
        """Leave the rest of the answer no more than `within_s`."""
        self.allow(min(self._until_s, time.monotonic() + within_s))


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens sockets whose every `timeout` is a moment of the monotonic clock."""

    def __init__(self, guard: Guard | None = None) -> None:
        """With a `guard`, only hosts are connected to that it allows."""
        self._inner = httpcore.SyncBackend()
        self._guard = guard

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that answers; all of them together have the time of one."""
        deadline_s = min(_moment(timeout), time.monotonic() + CONNECT_TIMEOUT_S)
        try:
            found = self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failure = httpcore.ConnectError("the host has no address")
        for *_, address in dict.fromkeys(found):
            left_s = _left_s(deadline_s, httpcore.ConnectTimeout)
            try:
                return DeadlineStream(
                    self._inner.connect_tcp(str(address[0]), port, left_s, local_address, socket_options)
                )
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    def _resolve(self, host: str, port: int) -> Sequence[SocketAddress]:
        if self._guard is None:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        try:
            return self._guard.find(host, port)
        except AddressRefusedError as error:
            raise httpcore.ConnectError(str(error)) from None


@cache
def _pool(guard: Guard | None = None) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=tls_context(os.environ.get("SSL_CERT_FILE", "")),
        max_connections=None,
        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
        keepalive_expiry=KEEPALIVE_EXPIRY_S,
        network_backend=DeadlineBackend(guard),
    )


# A child must not speak on its parent's connections.
os.register_at_fork(after_in_child=_pool.cache_clear)


def send(
    method: str,
    url: httpcore.URL,
    headers: list[tuple[bytes, bytes]],
    content: bytes | Iterable[bytes],
    timeout_s: float,
) -> httpcore.Response:
    """Send a request and return the answer once its headers are here; the body, too, has to come within `timeout_s`.

    Raises ProviderUnavailableError if the provider was not reached, ProviderTimeoutError if it did not answer in time
    and ProviderProtocolError if it hung up.
    """
    _close_forgotten()
    deadline_s = time.monotonic() + timeout_s
    timeouts = {"connect": deadline_s, "read": deadline_s, "write": deadline_s, "pool": timeout_s}
    with _as_provider_errors(), _within_pool():
        request = httpcore.Request(method, url, headers=headers, content=content, extensions={"timeout": timeouts})
        response = _pool(guard_of(url.scheme)).handle_request(request)
    response.extensions["network_stream"] = Allowance(response.extensions["network_stream"], deadline_s)
    return response


# Answers that nobody holds any more. The garbage collector may find one while its thread is within the pool, and to
# close it right there would be to wait for the pool's lock for ever; so it is noted, and closed with the next call.
_forgotten: deque[tuple[httpcore.Response, Iterator[bytes]]] = deque()


class Parts:
    """The bytes of an answer as they arrive; a failure is raised as ProviderError."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self._content = response.iter_stream()
        # This also keeps both alive: httpcore's iterator, too, would close the answer when it is collected.
        self._finalizer = weakref.finalize(self, _forget, response, self._content)
        self._finalizer.atexit = False

    def __iter__(self) -> Iterator[bytes]:
        while (part := self._next()) is not None:
            yield part

    def close(self) -> None:
        """Give the connection back to the pool, or close it if there is more to come."""
        self._finalizer.detach()
        if _is_within_pool():
            # An SDK's own generator was collected, and closes what it read from.
            _forget(self._response, self._content)
            return
        with _within_pool():
            self._response.close()

    def _next(self) -> bytes | None:
        with _as_provider_errors(), _within_pool():
            return next(self._content, None)


def _forget(response: httpcore.Response, content: Iterator[bytes]) -> None:
    _forgotten.append((response, content))


def _close_forgotten() -> None:
    while _forgotten:
        try:
            response, _ = _forgotten.popleft()
        except IndexError:
            return  # another thread was faster
        with _within_pool():
            response.close()


_depth = threading.local()


@contextlib.contextmanager
def _within_pool() -> Iterator[None]:
    """Note that this thread may be holding the pool's lock, which it can't take twice."""
    _depth.value = getattr(_depth, "value", 0) + 1
    try:
        yield
    finally:
        _depth.value -= 1


def _is_within_pool() -> bool:
    return getattr(_depth, "value", 0) > 0


@contextlib.contextmanager
def _as_provider_errors() -> Iterator[None]:
    # Texts of httpcore's errors are not repeated: h11 quotes the header it does not like, which may be the API key.
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.UnsupportedProtocol):
        raise ProviderUnavailableError("the provider could not be reached", was_sent=False) from None
    except httpcore.TimeoutException:
        raise ProviderTimeoutError("the provider did not answer in time") from None
    except httpcore.LocalProtocolError:
        raise ProviderUnavailableError("the request cannot be sent: an illegal header or URL", was_sent=False) from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise ProviderProtocolError("the provider closed the connection before its answer was complete") from None


def headers_and_body(response: httpcore.Response) -> tuple[list[tuple[bytes, bytes]], Parts | list[bytes]]:
    """The headers of an answer, and its body as it comes; that of an error is read here, as far as it comes."""
    if response.status == OK:
        return response.headers, Parts(response)
    content = read_error(response)
    return error_headers(response), [content]


def read_error(response: httpcore.Response) -> bytes:
    """Read the body of an answer that is an error, as far as it comes and can be read: its status says enough."""
    response.extensions["network_stream"].hurry(ERROR_BODY_S)
    content = bytearray()
    parts = Parts(response)
    encoding = next((value for name, value in response.headers if name.lower() == b"content-encoding"), b"")
    with contextlib.closing(parts), contextlib.suppress(ProviderError, UnreadableError):
        for part in inflated(parts, encoding.decode("latin-1"), MAX_ERROR_BYTES):
            content += part
    return bytes(content)


def error_headers(response: httpcore.Response) -> list[tuple[bytes, bytes]]:
    """The headers of an answer whose body `read_error` has read: without what they said of the bytes on the wire."""
    gone = (b"content-encoding", b"content-length", b"transfer-encoding")
    return [(name, value) for name, value in response.headers if name.lower() not in gone]


def provider_error_in(error: BaseException) -> ProviderError | None:
    """The ProviderError that an SDK wrapped, if it did."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ProviderError):
        cause = cause.__cause__
    return cause


def _moment(timeout: float | None) -> float:
    if timeout is None:
        raise ValueError("a call to a provider needs a time-out")
    return timeout


def _left_s(deadline_s: float, late: type[httpcore.TimeoutException]) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise late
    return left_s
