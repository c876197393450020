"""What Sluice knows as data: the models and providers of shared/, read once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parent / "shared"


class Tier(StrEnum):
    """How capable, and how scarce, a model is."""

    FAST = "fast"
    SMART = "smart"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    prompt_usd: float
    completion_usd: float


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider, before any credential. `limits` maps limit names to capacities per credential."""

    id: str
    provider: str
    tier: Tier
    context_window: int
    max_completion_tokens: int
    price: Price
    limits: Mapping[str, int]
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider: which adapter speaks to it and where. A lower `priority` wins ties."""

    name: str
    adapter: str
    base_url: str | None
    priority: int
    timeout_s: float
    unsupported_fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Catalog:
    """shared/models.toml and shared/providers.toml."""

    providers: Mapping[str, ProviderRow]
    models: tuple[Model, ...]
    replacements: Mapping[str, str]

    @classmethod
    def read(cls, directory: Path = SHARED) -> "Catalog":
        """Read the two files; a mistake in them raises ValueError or KeyError naming the row."""
        raise NotImplementedError(directory, tomllib, Any)


@cache
def catalog() -> Catalog:
    """The catalogue of this process, read once."""
    return Catalog.read()
