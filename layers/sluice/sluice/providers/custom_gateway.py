"""A gateway of LiteLLM's shape: OpenAI's protocol below /v1, and beside it what an answer cost and what a key has left.

Where Sluice has no price of a model, the gateway is asked for what its answer cost, with the model and the tokens of it
and not with what was said. https://docs.litellm.ai/docs/proxy/cost_tracking, POST /spend/calculate; GET /key/info.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aws_lambda_powertools import Logger

from sluice.chat import ChatChunk, ChatRequest, JsonObject
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderError, ProviderProtocolError
from sluice.loading.dataclass import dataclass
from sluice.providers.base import ProviderConfig, ProviderResponse, ProviderStream, ProviderVectors
from sluice.providers.decoding import UnreadableError, json_in
from sluice.providers.exchange import Call, base_url, check_key, check_status, post, read_bytes
from sluice.providers.guard import guarding
from sluice.providers.openai_compatible import OpenAICompatibleProvider

# An answer waits for its cost, which is worth no more than this.
_COST_TIMEOUT_S = 2.0
_KEY_TIMEOUT_S = 5.0
# Both answers are an object of some hundred bytes; a key may have many models.
_MOST_BYTES = 1024 * 1024
# More dollars than any answer costs: a gateway that says so counts in another unit, or lies.
_MOST_COST_USD = 1_000
_MOST_USD = 10**9
_MOST_MODELS = 1_000
_MOST_NAME_CHARACTERS = 256

logger = Logger(child=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayKey:
    """What a gateway says of a key: dollars, None where it says nothing that can be, and never the key itself.

    `max_budget_usd` is None for a key without a budget, and `models` are empty for one that may use all.
    """

    spend_usd: float | None
    max_budget_usd: float | None
    expires: str | None
    models: tuple[str, ...]


class CustomGatewayProvider(OpenAICompatibleProvider):
    """One key of a gateway, which `config.base_url` leads to with /v1 or without."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        parts = urlsplit(base_url(config, ""))
        self._root = urlunsplit(parts._replace(path=parts.path.removesuffix("/v1"), query=""))

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Answer `request` with `model`, and ask what that cost if nobody knows. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        response = super().complete(request, model, timeout_s)
        return replace(response, cost_usd=self._cost_usd(response.chat.body, model, deadline_s))

    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """Begin to answer `request` with `model`; what that cost is asked once it has ended. Raises ProviderError."""
        return _Stream(super().stream(request, model, timeout_s, pause_s), self, model)

    def embed(self, batch: TextBatch, model: str, timeout_s: float) -> ProviderVectors:
        """Make the vectors of a batch, and ask what that cost if nobody knows. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        found = super().embed(batch, model, timeout_s)
        answer = {"object": "list", "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens}}
        return replace(found, cost_usd=self._cost_usd(answer, model, deadline_s))

    def key_info(self) -> GatewayKey:
        """What the gateway says of the key. Raises ProviderError."""
        from sluice.providers.plain_http import request

        check_key(self.config)
        headers = {"authorization": f"Bearer {self.config.api_key}", "accept-encoding": "identity"}
        call = Call({}, self.config.api_key)
        with guarding(self.config.networks):
            response = request("GET", f"{self._root}/key/info", headers, b"", _KEY_TIMEOUT_S)
        try:
            content = read_bytes(response, _MOST_BYTES)
        finally:
            response.close()
        check_status(response, call, content)
        return _key_in(_read(content), self.config.api_key)

    def answer_cost_usd(self, answer: JsonObject, model: str) -> Decimal | None:
        """What an answer of `model` cost, None if that can't be had or the model has a price."""
        return self._cost_usd(answer, model, time.monotonic() + _COST_TIMEOUT_S)

    def _cost_usd(self, answer: JsonObject, model: str, deadline_s: float) -> Decimal | None:
        if model not in self.config.unpriced_models:
            return None
        named = {"id", "object", "created", "model", "usage"} & answer.keys()
        counted = {"choices": [], "model": model, **{name: answer[name] for name in named}}
        call = Call({"completion_response": counted}, self.config.api_key)
        try:
            due_s = min(deadline_s, time.monotonic() + _COST_TIMEOUT_S)
            with guarding(self.config.networks):
                response = post(f"{self._root}/spend/calculate", call, due_s)
            try:
                content = read_bytes(response, _MOST_BYTES)
            finally:
                response.close()
            check_status(response, call, content)
            cost_usd = _cost_in(_read(content))
        except ProviderError as error:
            # The answer is there, and is worth more than what is known of its cost.
            logger.warning("a gateway does not say what an answer cost", extra={"reason": type(error).__name__})
            return None
        if cost_usd is None:
            logger.warning("a gateway does not say what an answer cost", extra={"reason": "it knows no price"})
        return cost_usd


class _Stream(ProviderStream):
    """A stream of a gateway, which says at its end what it cost."""

    def __init__(self, stream: ProviderStream, gateway: CustomGatewayProvider, model: str) -> None:
        self._stream = stream
        self._gateway = gateway
        self._model = model
        self.rate_limits = stream.rate_limits

    def __iter__(self) -> Iterator[ChatChunk]:
        """Yield the chunks in order."""
        return iter(self._stream)

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()

    def cost_usd(self, body: JsonObject) -> Decimal | None:
        """What the whole answer cost, None if that can't be had."""
        return self._gateway.answer_cost_usd(body, self._model)


def _read(content: bytes) -> Any:
    try:
        return json_in(content)
    except UnreadableError as error:
        raise ProviderProtocolError(str(error)) from None


def _cost_in(body: Any) -> Decimal | None:
    """The cost in an answer of /spend/calculate. 0 is what LiteLLM says of a model that it knows no price of."""
    cost = body.get("cost") if isinstance(body, dict) else None
    usd = _dollars(cost, _MOST_COST_USD)
    return Decimal(repr(usd)) if usd else None


def _key_in(body: Any, api_key: str) -> GatewayKey:
    info = body.get("info", body) if isinstance(body, dict) else None
    if not isinstance(info, dict) or not {"spend", "max_budget", "expires", "models"} & info.keys():
        raise ProviderProtocolError("the answer says nothing of a key")
    models = info.get("models")
    names = models if isinstance(models, list) else []
    return GatewayKey(
        spend_usd=_dollars(info.get("spend"), _MOST_USD),
        max_budget_usd=_dollars(info.get("max_budget"), _MOST_USD),
        expires=_moment(info.get("expires")),
        models=tuple(name for name in names if _is_name(name, api_key))[:_MOST_MODELS],
    )


def _dollars(value: Any, most: float) -> float | None:
    """A number of dollars that can be, as LiteLLM writes it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return float(value)


def _moment(value: Any) -> str | None:
    try:
        return datetime.fromisoformat(value).isoformat() if isinstance(value, str) else None
    except ValueError:
        return None


def _is_name(value: Any, api_key: str) -> bool:
    """Whether something is the name of a model, and does not hold the key."""
    return isinstance(value, str) and 0 < len(value) <= _MOST_NAME_CHARACTERS and api_key not in value
