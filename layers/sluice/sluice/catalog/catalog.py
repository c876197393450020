"""Catalogue of models and providers: the files of shared/, read once."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sluice.catalog.model import Model, ProviderRow
from sluice.catalog.reader import SHARED, read_models, read_providers
from sluice.loading.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Catalog:
    """shared/models.toml and shared/providers.toml."""

    providers: Mapping[str, ProviderRow]
    models: tuple[Model, ...]
    replacements: Mapping[str, str]

    @classmethod
    def read(cls, directory: Path = SHARED) -> "Catalog":
        """Read the two files; a mistake in them raises ValueError naming the file, the row and the field."""
        providers = read_providers(directory / "providers.toml")
        models, replacements = read_models(directory / "models.toml", providers)
        return cls(providers, models, replacements)

    def models_of(self, provider: str) -> tuple[Model, ...]:
        """The models of one provider, in the order of the file."""
        return tuple(model for model in self.models if model.provider == provider)


@cache
def catalog() -> Catalog:
    """The catalogue of this process, read once."""
    return Catalog.read()
