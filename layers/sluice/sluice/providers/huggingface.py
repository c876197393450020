"""Hugging Face, through huggingface_hub's InferenceClient."""

import math
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sluice.chat import ChatRequest
from sluice.providers.base import Provider, ProviderConfig, ProviderResponse, ProviderStream, RateLimitHeaders
from sluice.providers.exchange import AnswerStream, Call, Pace, base_url, read_whole

if TYPE_CHECKING:
    from sluice.providers.inference_client import VerbatimClient

# The URL that InferenceClient's own provider "auto" ends up with.
ROUTER_URL = "https://router.huggingface.co/v1"


class HuggingFaceProvider(Provider):
    """One Hugging Face token; `config.base_url` is a router or an inference endpoint.

    Raises ValueError if `config.base_url` is no http(s) URL.
    """

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._base_url = base_url(config, ROUTER_URL)

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        _ = self._client

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Answer `request` with `model`, within `timeout_s` in all. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        call = Call.of(request, model, self.config, streamed=False)
        return read_whole(self._client.open(call, deadline_s), call, _no_limits)

    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """Begin to answer `request`, each chunk within `pause_s`, all within `timeout_s`. Raises ProviderError."""
        pace = Pace.begin(timeout_s, pause_s)
        call = Call.of(request, model, self.config, streamed=True)
        return AnswerStream(self._client.open(call, pace.due_s()), call, _no_limits, pace)

    @cached_property
    def _client(self) -> "VerbatimClient":
        from sluice.providers.inference_client import VerbatimClient

        return VerbatimClient(self._base_url, self.config.api_key)


def _no_limits(_: Mapping[str, str]) -> RateLimitHeaders:
    # Neither the router nor the endpoints name their limits in an answer's headers.
    return RateLimitHeaders()
