"""Models and providers, as the files of shared/ describe them."""

from collections.abc import Collection, Mapping
from dataclasses import field
from enum import StrEnum

from sluice.loading.dataclass import dataclass

LIMIT_NAMES = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "characters_per_month")
TOKENIZERS = ("default", "o200k", "gemma", "spm", "claude")
IMAGE_RULES = (
    "largest",
    "openai",
    "openai_o",
    "openai_4o_mini",
    "openai_patches",
    "qwen",
    "gemini",
    "claude",
    "llama4",
)
COMPLETION_LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
ADAPTERS = (
    "groq",
    "huggingface",
    "openai_compatible",
    "azure_openai",
    "gemini",
    "anthropic",
    "bedrock",
    "builtin",
    "custom_gateway",
)
RATE_LIMIT_WORDS = ("requests", "tokens")
VERDICTS = ("probability", "safety")
"""What guard models answer: how probable an attack is, or `safe` or `unsafe` with the categories of what is."""


MOST_INPUTS = 2_048
MOST_INPUT_TOKENS = 300_000
"""What one call for embeddings takes, at OpenAI and where nothing else is said.

https://platform.openai.com/docs/api-reference/embeddings/create
"""


class Tier(StrEnum):
    """How capable, and how scarce, a model is."""

    FAST = "fast"
    SMART = "smart"


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """US dollars per million tokens.

    What of a prompt the provider had cached may have a price of its own, and what it took into its cache, for minutes
    or for long, too.
    """

    prompt_usd: float
    completion_usd: float
    cached_prompt_usd: float | None = None
    cache_write_usd: float | None = field(default=None, kw_only=True)
    long_cache_write_usd: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Price(TokenPrice):
    """US dollars per million tokens, and what they are in the service tiers that have other prices.

    Where nobody has said what a model costs, `is_known` is False, and it counts as nothing.
    """

    service_tiers: Mapping[str, TokenPrice] = field(default_factory=dict, hash=False)
    is_known: bool = True

    def of_tier(self, tier: object) -> TokenPrice:
        """The price in a service tier; one that has none of its own is served at the usual price."""
        return self.service_tiers.get(tier, self) if isinstance(tier, str) else self


FREE = Price(0.0, 0.0)
UNKNOWN_PRICE = Price(0.0, 0.0, is_known=False)
FREE_WORD = "free"
"""What a row or a credential says in place of a price."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of a model that makes embeddings.

    They have `dimensions` numbers, or fewer where the model `shortens` them; those are brought to length 1 by the
    gateway if the model `leaves_length` to it. One call of its provider takes `most_inputs` texts and `most_tokens`
    tokens.
    """

    dimensions: int
    shortens: bool = False
    leaves_length: bool = False
    most_inputs: int = MOST_INPUTS
    most_tokens: int = MOST_INPUT_TOKENS


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider, before any credential. `limits` maps limit names to capacities per credential.

    `serves` are the tiers it may be chosen for, None for its own; a model that serves none is reached by name only. One
    that is `text_only` takes no images or sounds. `tokenizer` is the family of tokenizers that its tokens are estimated
    for, `image_tokens` the rule that its images are counted by, and `completion_limit_field` what it calls the most
    completion tokens, if that is not what its provider calls them. A guard model has a `verdict`, one of VERDICTS: the
    gateway asks it about what others say, and callers only where it `answers_callers`. Of a slow one no more than
    `longest_answer` tokens are asked, whatever a request allows. One that has `vectors` makes embeddings and does not
    chat, and its context window is that of each text. `unsupported_fields` are those of a request that it does not take
    and others of its provider do.
    """

    id: str
    provider: str
    tier: Tier
    context_window: int
    max_completion_tokens: int
    price: Price
    limits: Mapping[str, int]
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    serves: tuple[Tier, ...] | None = None
    text_only: bool = False
    tokenizer: str = "default"
    image_tokens: str = "largest"
    completion_limit_field: str | None = None
    verdict: str | None = None
    answers_callers: bool = True
    longest_answer: int | None = None
    vectors: Vectors | None = None
    unsupported_fields: frozenset[str] = frozenset()

    @property
    def prompt_window(self) -> int:
        """The most tokens that one call takes in."""
        return self.context_window if self.vectors is None else self.vectors.most_tokens

    def can_serve(self, tier: Tier) -> bool:
        """Whether the router may choose it when it looks for `tier`."""
        return tier is self.tier if self.serves is None else tier in self.serves

    def is_among(self, names: Collection[str]) -> bool:
        """Whether one of `names` is its id or an alias of it."""
        return self.id in names or any(alias in names for alias in self.aliases)


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider: which adapter speaks to it and where. A lower `priority` wins ties.

    Without a `base_url` the credential has to say where the provider is. `key_url` answers a GET whether a key is
    valid; without one, `{base_url}/models` does. `rate_limit_headers` are pairs: the word that `x-ratelimit-limit-` and
    `x-ratelimit-remaining-` end in, and the limit it speaks of. `allowed_fields` are those that it may be sent beside
    what OpenAI documents, and `completion_limit_field` is what it calls the most completion tokens.
    `standard_service_tiers` cost what the catalogue says.
    """

    name: str
    adapter: str
    base_url: str | None
    priority: int
    timeout_s: float
    unsupported_fields: frozenset[str] = frozenset()
    rate_limit_headers: frozenset[tuple[str, str]] = frozenset()
    needs_api_key: bool = True
    takes_json_schema: bool = False
    key_url: str | None = None
    allowed_fields: frozenset[str] = frozenset()
    completion_limit_field: str = "max_tokens"
    standard_service_tiers: frozenset[str] = frozenset()
