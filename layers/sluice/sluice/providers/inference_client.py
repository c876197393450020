"""InferenceClient, made to carry a chat word for word. Import this late: it brings huggingface_hub and httpx2.

On its own, InferenceClient leaves out every null (also those within tools and schemas), rewrites `response_format`
"json_schema" to text-generation-inference's own form, adds a null for each field that an answer does not have, changes
unknown field names to lower case, and counts its time-out anew for each read. It has no setting for these, but it lets
one choose the HTTP client (`huggingface_hub.set_client_factory`). Ours sends the prepared body in place of the one
InferenceClient built, and hands the answer to the adapter in place of InferenceClient, which also fails to read errors
that are not of its own hub's shape. URL and headers remain InferenceClient's.
"""

import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING

import httpcore
import httpx2
from huggingface_hub import InferenceClient, set_client_factory

from sluice.errors import ProviderProtocolError
from sluice.providers import connections
from sluice.providers.exchange import Call

if TYPE_CHECKING:
    from sluice.providers.exchange import HttpResponse

OK = 200
# For requests of huggingface_hub's own that name no time-out.
DEFAULT_TIMEOUT_S = 10.0


class _Exchange:
    """What goes around InferenceClient in one call."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.response: httpx2.Response | None = None


_current: ContextVar[_Exchange | None] = ContextVar("_current", default=None)


class VerbatimClient:
    """Opens chats with one token at one base URL."""

    def __init__(self, base_url: str, token: str) -> None:
        _install_transport()
        self._base_url = base_url
        self._token = token

    def open(self, call: Call, deadline_s: float) -> "HttpResponse":
        """Send `call` and return the answer, its body unread. Raises ProviderError."""
        # InferenceClient collects the responses of streams until it is closed, so each call has its own; all share the
        # connections. It is always asked for a stream, because it would read a whole answer in its own way.
        client = InferenceClient(
            base_url=self._base_url,
            token=self._token,
            timeout=deadline_s - time.monotonic(),
            headers={"accept-encoding": "identity"},
        )
        exchange = _Exchange(call.content)
        token = _current.set(exchange)
        try:
            client.chat_completion(messages=[], model=call.body["model"], stream=True)
        finally:
            _current.reset(token)
        if exchange.response is None:
            raise ProviderProtocolError("InferenceClient sent no request")
        return exchange.response


class _Body(httpx2.SyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        if isinstance(self._parts, connections.Parts):
            self._parts.close()


class _Transport(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = _current.get()
        headers = request.headers.raw
        content = request.read()
        if exchange is not None:
            content = exchange.content
            headers = [
                (name, str(len(content)).encode() if name.lower() == b"content-length" else value)
                for name, value in headers
            ]
        target = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        timeout_s = request.extensions["timeout"]["read"] or DEFAULT_TIMEOUT_S
        sent = connections.send(request.method, target, headers, content, timeout_s)
        # Errors are read here, because InferenceClient would not give up when their body does not come.
        answered, parts = connections.headers_and_body(sent)
        response = httpx2.Response(sent.status, headers=answered, stream=_Body(parts), extensions=sent.extensions)
        if exchange is None:
            return response
        exchange.response = response
        # InferenceClient closes its response when it goes; this one is for it, the real one for the adapter.
        return httpx2.Response(OK)


@cache
def _install_transport() -> None:
    set_client_factory(lambda: httpx2.Client(transport=_Transport(), trust_env=False))
