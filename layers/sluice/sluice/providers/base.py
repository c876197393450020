"""What a provider is to the rest of Sluice."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from decimal import Decimal

from sluice.chat import ChatChunk, ChatRequest, ChatResponse, JsonObject
from sluice.embeddings.vectors import TextBatch, Vector
from sluice.loading.dataclass import dataclass

UNHEALTHY_AFTER_FAILURES = 5
# Weight of the newest call in the moving averages: the last ten or so calls decide.
SMOOTHING = 0.2
# Every model of those providers that have to be told completes as much.
COMPLETION_TOKENS = 4_096


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One credential of a provider, as an adapter needs it; `rate_limit_headers` are as in ProviderRow.

    `allowed_fields` may be sent beside what OpenAI documents, and `standard_service_tiers` cost what is usual.
    `completion_limit_field` is what the provider calls the most completion tokens, and `completion_limit_fields` names
    the models that call it otherwise. `adapter` is what speaks to the provider, and `completion_limits` are the most
    tokens that models complete, as far as it is known. `api_version` is one of Azure's, and `region`
    one of AWS. Of a tenant's own credential, `networks` are those that its host may
    be in beside the public internet, as CIDR; None where an operator of the stack has named the host. Of
    `unpriced_models` the provider may be asked what an answer cost.
    """

    provider: str
    alias: str
    api_key: str = field(repr=False)
    base_url: str | None = None
    unsupported_fields: frozenset[str] = frozenset()
    rate_limit_headers: frozenset[tuple[str, str]] = frozenset()
    allowed_fields: frozenset[str] = frozenset()
    standard_service_tiers: frozenset[str] = frozenset()
    completion_limit_field: str = "max_tokens"
    completion_limit_fields: frozenset[tuple[str, str]] = frozenset()
    adapter: str = "openai_compatible"
    completion_limits: frozenset[tuple[str, int]] = frozenset()
    api_version: str | None = None
    region: str | None = None
    networks: tuple[str, ...] | None = None
    unpriced_models: frozenset[str] = frozenset()

    def most_completion_tokens(self, model: str) -> int:
        """The most that `model` completes, for a provider that has to be told."""
        return dict(self.completion_limits).get(model, COMPLETION_TOKENS)

    def limit_field_of(self, model: str) -> str:
        """What the provider calls the most completion tokens of `model`."""
        return dict(self.completion_limit_fields).get(model, self.completion_limit_field)


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """What a provider's answer said about its limits. Keys are limit names (`requests_per_minute`, ...)."""

    capacities: Mapping[str, int] = field(default_factory=dict)
    remaining: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A provider's whole answer. `cost_usd` is what it cost, if the provider was asked for that and said it."""

    chat: ChatResponse
    rate_limits: RateLimitHeaders
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ProviderVectors:
    """A provider's vectors, in the order of the texts. `tokens` is what it counted, None if it did not.

    `cost_usd` is what they cost, if the provider was asked for that and said it.
    """

    vectors: tuple[Vector, ...]
    tokens: int | None
    rate_limits: RateLimitHeaders
    cost_usd: Decimal | None = None


class ProviderStream(ABC):
    """A provider's answer as it arrives. Close it when done with it, finished or not."""

    rate_limits: RateLimitHeaders

    @abstractmethod
    def __iter__(self) -> Iterator[ChatChunk]:
        """Yield the chunks in order; raise ProviderError when the stream breaks off."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def cost_usd(self, body: JsonObject) -> Decimal | None:
        """What the whole answer cost, if the provider can be asked for that and says it."""
        return None


class Provider(ABC):
    """One credential of one provider. An adapter maps its SDK's exceptions to ProviderError; it never retries."""

    def __init__(self, config: ProviderConfig) -> None:
        self.config = config

    @abstractmethod
    def warm_up(self) -> None:
        """Import and build what a call needs, without calling.

        Done before a reservation: an SDK can take seconds to import on a cold function, and a reservation must reach
        the provider within the second it was made in.
        """

    @abstractmethod
    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Answer `request` with `model`, within `timeout_s` in all. Raises ProviderError."""

    @abstractmethod
    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """Begin to answer `request` with `model`; returns with the first chunk. Raises ProviderError.

        The first chunk, and each after the one before it, has to come within `pause_s`; the last within `timeout_s`.
        """

    def warm_up_to_embed(self) -> None:
        """The same for a call of `embed`."""
        self.warm_up()

    @abstractmethod
    def embed(self, batch: TextBatch, model: str, timeout_s: float) -> ProviderVectors:
        """Make the vectors of a batch with `model`, within `timeout_s` in all. Raises ProviderError."""


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """How a deployment has done lately. So many failures in a row as `unhealthy_after` open its circuit."""

    success_rate: float = 1.0
    consecutive_failures: int = 0
    response_time_ms: float | None = None
    unhealthy_after: int = UNHEALTHY_AFTER_FAILURES

    @property
    def is_healthy(self) -> bool:
        """False after five failures in a row, or as many as `unhealthy_after` says."""
        return self.consecutive_failures < self.unhealthy_after

    @property
    def score(self) -> float:
        """Health in 0..1: the moving success rate, less a fifth for each failure in a row if five make it unhealthy."""
        return max(0.0, self.success_rate * (1 - self.consecutive_failures / self.unhealthy_after))

    def after_success(self, response_time_ms: float) -> "ProviderHealth":
        """The health once a call succeeded after `response_time_ms`."""
        known = self.response_time_ms
        smoothed = response_time_ms if known is None else known + SMOOTHING * (response_time_ms - known)
        rate = self.success_rate + SMOOTHING * (1 - self.success_rate)
        return replace(self, success_rate=rate, consecutive_failures=0, response_time_ms=smoothed)

    def after_failure(self) -> "ProviderHealth":
        """The health once a call failed."""
        return replace(
            self,
            success_rate=self.success_rate * (1 - SMOOTHING),
            consecutive_failures=self.consecutive_failures + 1,
        )
