"""Reader of the catalogue's files: each field by its name, and a field that nobody asked for is a typo."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sluice.catalog.model import (
    ADAPTERS,
    COMPLETION_LIMIT_FIELDS,
    FREE,
    FREE_WORD,
    IMAGE_RULES,
    LIMIT_NAMES,
    MOST_INPUT_TOKENS,
    MOST_INPUTS,
    RATE_LIMIT_WORDS,
    TOKENIZERS,
    UNKNOWN_PRICE,
    VERDICTS,
    Model,
    Price,
    ProviderRow,
    Tier,
    TokenPrice,
    Vectors,
)
from sluice.loading.toml import read_toml

SHARED = Path(__file__).parent.parent / "shared"


class _Row:
    """One table of a file, taken apart field by field; a field that nobody asked for is a typo."""

    def __init__(self, where: str, fields: dict[str, Any]) -> None:
        self.where = where
        self.fields = fields
        self.known: set[str] = set()

    def has(self, name: str) -> bool:
        self.known.add(name)
        return name in self.fields

    def text(self, name: str) -> str:
        value = self._required(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "a text", value)
        return value

    def count(self, name: str) -> int:
        value = self._required(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(name, "a whole number above 0", value)
        return value

    def number(self, name: str) -> float:
        value = self._required(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise self.wrong(name, "a number of at least 0", value)
        return float(value)

    def truth(self, name: str) -> bool:
        value = self._required(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._required(name) if self.has(name) else []
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise self.wrong(name, "a list of texts", value)
        if len(set(value)) < len(value):
            raise self.wrong(name, "a list without repetitions", value)
        return tuple(value)

    def choice(self, name: str, choices: Iterable[str]) -> str:
        value = self._required(name)
        if value not in choices:
            raise self.wrong(name, "one of " + ", ".join(choices), value)
        return str(value)

    def tiers(self, name: str) -> tuple[Tier, ...]:
        texts = self.texts(name)
        if not set(texts) <= set(Tier):
            raise self.wrong(name, "a list of " + ", ".join(Tier), list(texts))
        return tuple(Tier(text) for text in texts)

    def row(self, name: str) -> "_Row":
        value = self._required(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "a table", value)
        return _Row(f"{self.where}, {name}", value)

    def end(self) -> None:
        """Raise ValueError if there is a field that nobody asked for."""
        for name in sorted(self.fields.keys() - self.known):
            raise ValueError(f"{self.where}: unknown field {name!r}; known are {', '.join(sorted(self.known))}")

    def wrong(self, name: str, expected: str, value: object) -> ValueError:
        return ValueError(f"{self.where}: {name} must be {expected}, got {value!r}")

    def _required(self, name: str) -> Any:
        if not self.has(name):
            raise ValueError(f"{self.where}: {name} is missing")
        return self.fields[name]


def _load(path: Path) -> _Row:
    return _Row(path.name, read_toml(path))


def read_providers(path: Path) -> dict[str, ProviderRow]:
    """The providers of providers.toml by their names. ValueError names the row and the field that are wrong."""
    file = _load(path)
    return {name: _read_provider(name, file.row(name)) for name in file.fields}


def _read_provider(name: str, row: _Row) -> ProviderRow:
    provider = ProviderRow(
        name=name,
        adapter=row.choice("adapter", ADAPTERS),
        base_url=row.text("base_url") if row.has("base_url") else None,
        priority=row.count("priority"),
        timeout_s=row.number("timeout_s"),
        unsupported_fields=frozenset(row.texts("unsupported_fields")),
        rate_limit_headers=_read_rate_limit_headers(row.row("rate_limit_headers"))
        if row.has("rate_limit_headers")
        else frozenset(),
        needs_api_key=row.truth("needs_api_key") if row.has("needs_api_key") else True,
        takes_json_schema=row.has("takes_json_schema") and row.truth("takes_json_schema"),
        key_url=row.text("key_url") if row.has("key_url") else None,
        allowed_fields=frozenset(row.texts("allowed_fields")),
        standard_service_tiers=frozenset(row.texts("standard_service_tiers")),
        completion_limit_field=row.choice("completion_limit_field", COMPLETION_LIMIT_FIELDS)
        if row.has("completion_limit_field")
        else "max_tokens",
    )
    row.end()
    if provider.timeout_s == 0:
        raise row.wrong("timeout_s", "a number above 0", 0)
    return provider


def _read_rate_limit_headers(row: _Row) -> frozenset[tuple[str, str]]:
    found = frozenset((word, row.choice(word, LIMIT_NAMES)) for word in RATE_LIMIT_WORDS if row.has(word))
    row.end()
    return found


def read_models(path: Path, providers: Mapping[str, ProviderRow]) -> tuple[tuple[Model, ...], dict[str, str]]:
    """The models of models.toml, and what takes the place of those that are gone. ValueError as of `read_providers`."""
    file = _load(path)
    rows = file.fields["models"] if file.has("models") else []
    replacements = file.row("replacements") if file.has("replacements") else _Row(path.name, {})
    file.end()
    if not isinstance(rows, list) or not all(isinstance(fields, dict) for fields in rows):
        raise file.wrong("models", "tables, each under [[models]]", rows)
    models = {}
    for number, fields in enumerate(rows, start=1):
        row = _Row(f"{path.name}, model {number} ({fields.get('id', 'without an id')})", fields)
        model = _read_model(row, providers)
        if (model.provider, model.id) in models:
            raise ValueError(f"{row.where}: {model.provider} has a model of this id already")
        models[model.provider, model.id] = model
    ids = {model.id for model in models.values()}
    for model in models.values():
        where = _Row(f"{path.name}, model {model.id}", {})
        for alias in model.aliases:
            if alias in ids or alias in replacements.fields:
                raise where.wrong("aliases", "names that nothing else has", alias)
        for fallback in model.fallbacks:
            if fallback not in ids or fallback == model.id:
                raise where.wrong("fallbacks", "ids of other models", fallback)
    for gone in replacements.fields:
        if gone in ids:
            raise ValueError(f"{replacements.where}: {gone} is the id of a model and cannot be replaced")
        if replacements.text(gone) not in ids:
            raise replacements.wrong(gone, "the id of a model", replacements.fields[gone])
    return tuple(models.values()), replacements.fields


def _read_model(row: _Row, providers: Mapping[str, ProviderRow]) -> Model:
    context_window = row.count("context_window")
    verdict = row.choice("verdict", VERDICTS) if row.has("verdict") else None
    # A guard model says nothing that anybody but the gateway asks for, unless its row says otherwise.
    is_guard = verdict is not None
    vectors = _read_vectors(row.row("vectors")) if row.has("vectors") else None
    model = Model(
        id=row.text("id"),
        provider=row.choice("provider", providers),
        # What makes embeddings is of no tier: nothing is chosen for it by how hard it is.
        tier=Tier.FAST if vectors else Tier(row.choice("tier", tuple(Tier))),
        context_window=context_window,
        max_completion_tokens=row.count("max_completion_tokens")
        if row.has("max_completion_tokens")
        else context_window,
        price=_read_price(row),
        limits=_read_limits(row.row("limits")) if row.has("limits") else {},
        aliases=row.texts("aliases"),
        fallbacks=row.texts("fallbacks"),
        serves=() if vectors else row.tiers("serves") if row.has("serves") else () if is_guard else None,
        text_only=row.has("text_only") and row.truth("text_only"),
        tokenizer=row.choice("tokenizer", TOKENIZERS) if row.has("tokenizer") else "default",
        image_tokens=row.choice("image_tokens", IMAGE_RULES) if row.has("image_tokens") else "largest",
        completion_limit_field=row.choice("completion_limit_field", COMPLETION_LIMIT_FIELDS)
        if row.has("completion_limit_field")
        else None,
        verdict=verdict,
        answers_callers=row.truth("answers_callers") if row.has("answers_callers") else not is_guard,
        longest_answer=row.count("longest_answer") if row.has("longest_answer") else None,
        vectors=vectors,
        unsupported_fields=frozenset(row.texts("unsupported_fields")),
    )
    row.end()
    if model.max_completion_tokens > context_window:
        raise row.wrong("max_completion_tokens", "at most context_window", model.max_completion_tokens)
    return model


def _read_vectors(row: _Row) -> Vectors:
    vectors = Vectors(
        dimensions=row.count("dimensions"),
        shortens=row.has("shortens") and row.truth("shortens"),
        leaves_length=row.has("leaves_length") and row.truth("leaves_length"),
        most_inputs=row.count("most_inputs") if row.has("most_inputs") else MOST_INPUTS,
        most_tokens=row.count("most_tokens") if row.has("most_tokens") else MOST_INPUT_TOKENS,
    )
    row.end()
    return vectors


def _read_price(model: _Row) -> Price:
    if not model.has("price"):
        return UNKNOWN_PRICE
    if model.fields["price"] == FREE_WORD:
        model.text("price")
        return FREE
    row = model.row("price")
    tiers = row.row("service_tiers") if row.has("service_tiers") else _Row(row.where, {})
    usual = _read_token_price(row)
    priced = {name: _read_token_price(tiers.row(name)) for name in tiers.fields}
    return Price(
        usual.prompt_usd,
        usual.completion_usd,
        usual.cached_prompt_usd,
        priced,
        cache_write_usd=usual.cache_write_usd,
        long_cache_write_usd=usual.long_cache_write_usd,
    )


def _read_token_price(row: _Row) -> TokenPrice:
    cached_usd, write_usd, long_write_usd = (
        row.number(name) if row.has(name) else None
        for name in ("cached_prompt_usd", "cache_write_usd", "long_cache_write_usd")
    )
    price = TokenPrice(
        row.number("prompt_usd"),
        row.number("completion_usd"),
        cached_usd,
        cache_write_usd=write_usd,
        long_cache_write_usd=long_write_usd,
    )
    row.end()
    return price


def _read_limits(row: _Row) -> dict[str, int]:
    limits = {name: row.count(name) for name in LIMIT_NAMES if row.has(name)}
    row.end()
    return limits
