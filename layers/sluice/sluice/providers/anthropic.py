"""Anthropic, in its own Messages API, directly over HTTP.

See docs/decisions/0056-anthropic-is-asked-in-its-own-protocol.md.
"""

import time
from collections.abc import Mapping

from sluice.chat import ChatRequest
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderRejectedError
from sluice.providers.adapter import Adapter
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.exchange import Call, HttpResponse, base_url, check_request, post, warm_up_http
from sluice.providers.headers import anthropic_rate_limits
from sluice.providers.key_trial import ANTHROPIC_VERSION
from sluice.providers.messages_answer import MessagesDialect
from sluice.providers.messages_request import messages_body

ANTHROPIC_URL = "https://api.anthropic.com/v1"
MESSAGES_PATH = "/messages"


class AnthropicProvider(Adapter):
    """One API key of Anthropic. Raises ValueError if `config.base_url` is no http(s) URL."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._base_url = base_url(config, ANTHROPIC_URL)

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        warm_up_http()

    def _chat_call(self, request: ChatRequest, model: str, *, streamed: bool) -> Call:
        check_request(request, self.config)
        body = messages_body(
            request,
            model,
            self.config.most_completion_tokens(model),
            streamed=streamed,
            allowed_fields=self.config.allowed_fields,
        )
        return Call(body, self.config.api_key, MESSAGES_PATH, MessagesDialect(int(time.time())))

    def _embedding_call(self, batch: TextBatch, model: str) -> Call:
        raise ProviderRejectedError(f"Anthropic makes no embeddings, and {model!r} was asked for some", was_sent=False)

    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        key = {"x-api-key": call.api_key, "anthropic-version": ANTHROPIC_VERSION}
        return post(self._base_url + call.path, call, deadline_s, key)

    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        return anthropic_rate_limits(headers)
