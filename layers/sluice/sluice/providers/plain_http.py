"""HTTP requests on Sluice's own connections, with no client in between. Import this late: it brings httpcore.

A client would join URLs and default headers, follow redirects, log in and keep cookies: a third of what Python does for
a call, and nothing that a provider is to have.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore

from sluice import __version__
from sluice.providers import connections

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# What may stand in a URL as it is (RFC 3986): a model's name in a path may have more.
_LEGAL = "%/:?#[]@!$&'()*+,;=~-._"
_MOST_TARGETS = 512
_OWN_HEADERS = [(b"accept", b"*/*"), (b"user-agent", f"sluice/{__version__}".encode())]


class Headers(Mapping[str, str]):
    """Headers of an answer, by name in whatever case; those of one name are joined by commas."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in raw:
            key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
            self._values[key] = f"{self._values[key]}, {text}" if key in self._values else text

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class PlainResponse:
    """An answer whose body is read as it comes; that of an error is here already."""

    def __init__(self, response: httpcore.Response) -> None:
        headers, self._parts = connections.headers_and_body(response)
        self.status_code = response.status
        self.headers = Headers(headers)
        self.extensions: Mapping[str, Any] = response.extensions

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body as it arrives, and let go of the connection at its end."""
        yield from self._parts
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        parts, self._parts = self._parts, []
        if isinstance(parts, connections.Parts):
            parts.close()


def request(method: str, url: str, headers: Mapping[str, str], content: bytes, timeout_s: float) -> PlainResponse:
    """Send a request, and return its answer once the headers are here. Raises ProviderError.

    All of it, the body too, has to come within `timeout_s`. Names of `headers` are in lower case.
    """
    target, host = _target(url)
    sent = [
        (b"host", host),
        *_OWN_HEADERS,
        *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()),
    ]
    if content:
        sent.append((b"content-length", b"%d" % len(content)))
    return PlainResponse(connections.send(method, target, sent, content, timeout_s))


@lru_cache(maxsize=_MOST_TARGETS)
def _target(url: str) -> tuple[httpcore.URL, bytes]:
    """Where a request goes, and the host that it names."""
    parts = urlsplit(url)
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme])
    return httpcore.URL(quote(url, safe=_LEGAL)), host.encode("ascii")
