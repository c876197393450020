"""httpx on Sluice's own connections. Import this late: it brings httpx."""

from collections.abc import Iterable, Iterator

import httpcore
import httpx

from sluice.providers import connections


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        if isinstance(self._parts, connections.Parts):
            self._parts.close()


class DeadlineTransport(httpx.BaseTransport):
    """Takes a request's read time-out for the whole call; what fails is raised as ProviderError."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; its body is read later, on the same deadline."""
        target = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        response = connections.send(
            request.method, target, request.headers.raw, request.read(), request.extensions["timeout"]["read"]
        )
        # Errors are read here, because an SDK would raise what befalls it on the way instead of the status.
        headers, parts = connections.headers_and_body(response)
        return httpx.Response(response.status, headers=headers, stream=_Body(parts), extensions=response.extensions)


def new_client() -> httpx.Client:
    """A client which looks at no environment variable: neither proxies nor a .netrc file may touch a credential."""
    return httpx.Client(transport=DeadlineTransport(), trust_env=False, follow_redirects=False)
