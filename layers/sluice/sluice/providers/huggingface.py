"""Hugging Face, through huggingface_hub's InferenceClient."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sluice.providers.adapter import Adapter
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.exchange import Call, HttpResponse, base_url

if TYPE_CHECKING:
    from sluice.providers.inference_client import VerbatimClient

# The URL that InferenceClient's own provider "auto" ends up with.
ROUTER_URL = "https://router.huggingface.co/v1"


class HuggingFaceProvider(Adapter):
    """One Hugging Face token; `config.base_url` is a router or an inference endpoint.

    Raises ValueError if `config.base_url` is no http(s) URL.
    """

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._base_url = base_url(config, ROUTER_URL)

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        _ = self._client

    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        return self._client.open(call, deadline_s)

    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        # Neither the router nor the endpoints name their limits in an answer's headers.
        return RateLimitHeaders()

    @cached_property
    def _client(self) -> "VerbatimClient":
        from sluice.providers.inference_client import VerbatimClient

        return VerbatimClient(self._base_url, self.config.api_key)
