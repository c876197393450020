"""Registries of the catalogue's models on some credentials."""

from typing import Any

from sluice.catalog.catalog import catalog
from sluice.providers.credentials import parse_credentials
from sluice.providers.registry import Registry
from tests.credentials import secret


def build(*credentials: dict[str, Any]) -> Registry:
    """A registry of the catalogue on these entries of the secret."""
    return Registry.build(catalog(), parse_credentials(secret(*credentials)))


BUILTIN = {"provider": "builtin", "alias": "mine"}
