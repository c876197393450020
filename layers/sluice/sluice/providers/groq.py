"""Groq, through its own SDK."""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sluice.chat import ChatRequest
from sluice.errors import ProviderProtocolError
from sluice.providers.base import Provider, ProviderConfig, ProviderResponse, ProviderStream, RateLimitHeaders
from sluice.providers.exchange import AnswerStream, Call, base_url, read_whole
from sluice.providers.failures import failure
from sluice.providers.headers import GROQ_DIMENSIONS, rate_limits

if TYPE_CHECKING:
    import groq
    import httpx


# The SDK adds the path, /openai/v1/chat/completions.
GROQ_URL = "https://api.groq.com"


class GroqProvider(Provider):
    """One Groq API key. `config.base_url` is without the path. Raises ValueError if it is no http(s) URL."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._base_url = base_url(config, GROQ_URL)

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Answer `request` with `model`, within `timeout_s` in all. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        call = Call.of(request, model, self.config, streamed=False)
        return read_whole(self._send(call, deadline_s), call, _limits)

    def stream(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderStream:
        """Begin to answer `request`; returns with the first chunk, the last comes within `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        call = Call.of(request, model, self.config, streamed=True)
        return AnswerStream(self._send(call, deadline_s), call, _limits)

    def _send(self, call: Call, deadline_s: float) -> "httpx.Response":
        client = self._client
        import groq

        from sluice.providers.connections import provider_error_in

        try:
            # The SDK's own types would lose what they do not know, so the body goes in as extra_body, which is merged
            # over everything, and the answer is read as it comes over the wire.
            return (
                client.chat.completions.with_streaming_response.create(
                    messages=(),
                    model=call.body["model"],
                    extra_body=call.body,
                    extra_headers={"accept-encoding": "identity"},
                    timeout=deadline_s - time.monotonic(),
                )
                .__enter__()
                .http_response
            )
        except groq.APIStatusError as error:
            response = error.response
            raise failure(response.status_code, response.headers, response.content, secrets=call.secrets) from None
        except groq.APIConnectionError as error:
            # The SDK wraps what our transport raised.
            raise provider_error_in(error) or ProviderProtocolError("the connection to Groq failed") from None

    @cached_property
    def _client(self) -> "groq.Groq":
        import groq

        from sluice.providers.httpx_transport import new_client

        return groq.Groq(api_key=self.config.api_key, base_url=self._base_url, max_retries=0, http_client=new_client())


def _limits(headers: Mapping[str, str]) -> RateLimitHeaders:
    return rate_limits(headers, GROQ_DIMENSIONS)
