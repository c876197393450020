"""Hugging Face: chats through huggingface_hub's InferenceClient, embeddings as it asks for them, over httpx.

For embeddings InferenceClient needs numpy, which no chat does (docs/decisions/0053-embeddings-are-asked-in-batches.md).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sluice.embeddings.vectors import TextBatch
from sluice.providers.adapter import Adapter
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.exchange import CHAT_PATH, Call, HttpResponse, base_url, post, warm_up_http
from sluice.providers.vectors import openai_body

if TYPE_CHECKING:
    from sluice.providers.inference_client import VerbatimClient

# The URL that InferenceClient's own provider "auto" ends up with.
ROUTER_URL = "https://router.huggingface.co/v1"
# Below the router, where InferenceClient's provider "hf-inference" asks.
FEATURES_PATH = "/hf-inference/models/{model}/pipeline/feature-extraction"


class HuggingFaceProvider(Adapter):
    """One Hugging Face token; `config.base_url` is a router or an inference endpoint, which speaks OpenAI's protocol.

    Raises ValueError if `config.base_url` is no http(s) URL.
    """

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._base_url = base_url(config, ROUTER_URL)

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        _ = self._client

    def warm_up_to_embed(self) -> None:
        """The same for a call of `embed`."""
        warm_up_http()

    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        if call.path == CHAT_PATH:
            return self._client.open(call, deadline_s)
        root = self._base_url.removesuffix("/v1") if self._is_router else self._base_url
        return post(root + call.path, call, deadline_s)

    def _embedding_call(self, batch: TextBatch, model: str) -> Call:
        if not self._is_router:
            return super()._embedding_call(batch, model)
        asked = openai_body(batch, model, as_base64=False)
        # The path names the model, and a user is of no interest there.
        body = {name: value for name, value in asked.items() if name not in {"model", "input", "user"}}
        return Call({"inputs": asked["input"], **body}, self.config.api_key, FEATURES_PATH.format(model=model))

    @property
    def _is_router(self) -> bool:
        return self._base_url == ROUTER_URL

    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        # Neither the router nor the endpoints name their limits in an answer's headers.
        return RateLimitHeaders()

    @cached_property
    def _client(self) -> "VerbatimClient":
        from sluice.providers.inference_client import VerbatimClient

        return VerbatimClient(self._base_url, self.config.api_key)
