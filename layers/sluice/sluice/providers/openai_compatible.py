"""Whatever speaks OpenAI's protocol, directly over HTTP (docs/decisions/0002-openai-compatible-on-httpx.md)."""

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from sluice.providers.adapter import Adapter
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.exchange import PATHS, Call, HttpResponse, base_url, post, warm_up_http
from sluice.providers.headers import rate_limits


class OpenAICompatibleProvider(Adapter):
    """One credential of a provider that answers POST {base_url}/chat/completions, or {base_url}/embeddings, or both.

    Raises ValueError if `config.base_url` is missing or is no http(s) URL.
    """

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        parts = urlsplit(base_url(config, ""))
        self._dimensions = dict(config.rate_limit_headers)
        # A query stays where it is: Azure asks for `?api-version=...`.
        self._urls = {path: urlunsplit(parts._replace(path=parts.path + path)) for path in PATHS}

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        warm_up_http()

    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        return post(self._url(call), call, deadline_s, self._key_headers(call))

    def _url(self, call: Call) -> str:
        """Where a call goes."""
        return self._urls[call.path]

    def _key_headers(self, call: Call) -> Mapping[str, str] | None:
        """The headers that show the API key; None for OpenAI's."""
        return None

    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        return rate_limits(headers, self._dimensions)
