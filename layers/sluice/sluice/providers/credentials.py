"""The credentials secret: which API keys there are, and what they say differently from the catalogue.

    {"credentials": [{"provider": "groq", "alias": "groq-1", "api_key": "..."},
                     {"provider": "gateway", "alias": "gw-1", "api_key": "...", "base_url": "https://llm.example.com/v1",
                      "models": {"my-model": {"tier": "fast", "limits": {"requests_per_minute": 30}}}}]}

A credential without `models` serves every model that the catalogue has of its provider; one with `models` serves these
and no others. What an entry says of a model replaces what the catalogue says, limit by limit; null lifts a limit.
`priority` takes the place of its provider's, 1 first: primary and fallbacks. `timeout_s` is the longest a call takes.
`allowed_fields` lets fields of a request through that OpenAI does not document: `top_k`, `tools.browser_search`,
`response_format.regex`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)

from sluice.catalog.model import IMAGE_RULES, MOST_INPUT_TOKENS, MOST_INPUTS, TOKENIZERS, VERDICTS, Tier
from sluice.errors import SluiceError
from sluice.loading.dataclass import dataclass
from sluice.providers.urls import base_url

_MOST_ERRORS = 5

# '#' separates the parts of a key in the tables, which DynamoDB lets grow to 1,024 bytes.
type Name = Annotated[str, StringConstraints(pattern=r"^[!-\"$-~]{1,256}$")]
_ALIAS = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
type Alias = Annotated[str, StringConstraints(pattern=_ALIAS)]
type Url = Annotated[str, AfterValidator(base_url)]
type Capacity = Annotated[int, Field(ge=1, le=10**15)]
type Tokens = Annotated[int, Field(ge=1, le=10**9)]
type LimitField = Literal["max_tokens", "max_completion_tokens"]
type LimitName = Literal[
    "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "characters_per_month"
]


@dataclass(frozen=True, slots=True)
class BrokenCredential:
    """An entry of the secret that can't be used. The others can."""

    position: int
    """Counted from 0, as in `credentials[0]`."""
    alias: str | None
    """As far as it can be read."""
    reason: str
    """Which field is wrong and why. It never holds a key."""


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError("must be one of " + ", ".join(names))
        return name

    return check


class CredentialsError(SluiceError):
    """The credentials secret is not what it should be. Its message names the field, and never holds a key."""

    code = "invalid_credentials"
    may_pass = False

    def __init__(self, message: str, broken: Sequence[BrokenCredential] = ()) -> None:
        super().__init__(message)
        self.broken = tuple(broken)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


type Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CredentialTokenPrice(_Strict):
    """US dollars per million tokens."""

    prompt_usd: Dollars
    completion_usd: Dollars
    cached_prompt_usd: Dollars | None = None
    cache_write_usd: Dollars | None = None
    long_cache_write_usd: Dollars | None = None


class CredentialPrice(CredentialTokenPrice):
    """US dollars per million tokens, and what they are in service tiers that have other prices."""

    service_tiers: dict[Name, CredentialTokenPrice] = Field(default_factory=dict)


class CredentialVectors(_Strict):
    """What a credential says of a model's vectors, as in the catalogue: then the model makes embeddings."""

    dimensions: Annotated[int, Field(ge=1, le=65_536)]
    shortens: bool = False
    leaves_length: bool = False
    most_inputs: Annotated[int, Field(ge=1, le=MOST_INPUTS)] = MOST_INPUTS
    most_tokens: Tokens = MOST_INPUT_TOKENS


class CredentialModel(_Strict):
    """What a credential says of one model. What it leaves out is as in the catalogue."""

    tier: Tier | None = None
    limits: dict[LimitName, Capacity | None] = Field(default_factory=dict)
    price: CredentialPrice | Literal["free"] | None = None
    context_window: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    aliases: tuple[Name, ...] | None = None
    fallbacks: tuple[Name, ...] | None = None
    serves: tuple[Tier, ...] | None = None
    text_only: bool | None = None
    tokenizer: Annotated[str, AfterValidator(_one_of(TOKENIZERS))] | None = None
    image_tokens: Annotated[str, AfterValidator(_one_of(IMAGE_RULES))] | None = None
    completion_limit_field: LimitField | None = None
    verdict: Annotated[str, AfterValidator(_one_of(VERDICTS))] | None = None
    answers_callers: bool | None = None
    vectors: CredentialVectors | None = None
    unsupported_fields: tuple[Name, ...] | None = None
    enabled: bool = True


class Credential(_Strict):
    """One API key of a provider."""

    provider: str
    alias: Alias
    api_key: SecretStr | None = None
    base_url: Url | None = None
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    priority: int | None = Field(default=None, ge=1, le=1_000)
    models: dict[Name, CredentialModel] | None = Field(default=None, min_length=1)
    allowed_fields: tuple[Name, ...] = ()
    completion_limit_field: LimitField | None = None
    api_version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,64}$")] | None = None
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$")] | None = None
    enabled: bool = True

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, api_key: SecretStr | None) -> SecretStr | None:
        key = "" if api_key is None else api_key.get_secret_value()
        if api_key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("must be printable ASCII without spaces, as it goes into a header")
        return api_key


class _Document(_Strict):
    """The whole secret. Its entries are looked at one by one, so that one that is broken leaves the others be."""

    credentials: tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the secret says: each entry that is as it should be by its position, and those that are not."""

    entries: Mapping[int, Credential]
    broken: tuple[BrokenCredential, ...] = ()


def parse_credentials(text: str) -> Credentials:
    """Read the secret's JSON. Raises CredentialsError if it is not a list of entries, whatever they are."""
    try:
        document = _Document.model_validate_json(text)
    except ValidationError as error:
        # Not chained: a traceback would show pydantic's error, which knows the input.
        raise CredentialsError(f"the credentials secret: {_faults(error)}") from None
    entries: dict[int, Credential] = {}
    broken = []
    for position, entry in enumerate(document.credentials):
        try:
            entries[position] = Credential.model_validate_json(json.dumps(entry))
        except ValidationError as error:
            alias = entry.get("alias") if isinstance(entry, dict) else None
            alias = alias if isinstance(alias, str) and re.fullmatch(_ALIAS, alias) else None
            broken.append(BrokenCredential(position, alias, _faults(error, f"credentials[{position}]")))
    return Credentials(entries, tuple(broken))


def _faults(error: ValidationError, where: str = "") -> str:
    faults = [
        f"{_path(where, fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(faults) - _MOST_ERRORS} more" if len(faults) > _MOST_ERRORS else ""
    return "; ".join(faults[:_MOST_ERRORS]) + more


def _path(where: str, location: tuple[int | str, ...]) -> str:
    # pydantic points at the key of a mapping by a part of its own.
    parts = [part for part in location if part != "[key]"]
    path = where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".") or "the whole of it"
