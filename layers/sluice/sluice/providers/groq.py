"""Groq, through its own SDK."""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sluice.errors import ProviderProtocolError
from sluice.providers.adapter import Adapter
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.exchange import Call, base_url, failure_of
from sluice.providers.headers import GROQ_DIMENSIONS, rate_limits

if TYPE_CHECKING:
    import groq
    import httpx


GROQ_URL = "https://api.groq.com"
# Groq's documentation writes it as part of the URL; the SDK adds it itself.
SDK_PATH = "/openai/v1"


class GroqProvider(Adapter):
    """One Groq API key. Raises ValueError if `config.base_url` is no http(s) URL."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._base_url = base_url(config, GROQ_URL).removesuffix(SDK_PATH)

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        _ = self._client

    def _send(self, call: Call, deadline_s: float) -> "httpx.Response":
        client = self._client
        import groq

        from sluice.providers.connections import provider_error_in

        try:
            # The SDK's own types would change what they do not know, so the body goes in as bytes (the SDK's way for
            # requests it has no method for), and the answer is read as it comes over the wire.
            return client.post(
                SDK_PATH + call.path,
                content=call.content,
                cast_to=object,
                options={
                    "headers": {"content-type": "application/json", "accept-encoding": "identity"},
                    "timeout": deadline_s - time.monotonic(),
                },
                stream=True,
                stream_cls=groq.Stream[object],
            ).response
        except groq.APIStatusError as error:
            response = error.response
            raise failure_of(response.status_code, response.headers, response.content, call) from None
        except groq.APIConnectionError as error:
            # The SDK wraps what our transport raised.
            raise provider_error_in(error) or ProviderProtocolError("the connection to Groq failed") from None

    @cached_property
    def _client(self) -> "groq.Groq":
        import groq

        from sluice.providers.httpx_transport import new_client

        return groq.Groq(api_key=self.config.api_key, base_url=self._base_url, max_retries=0, http_client=new_client())

    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        return rate_limits(headers, GROQ_DIMENSIONS)
