"""Measured rates, and what to do about findings: shared/insights.toml."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sluice.catalog.reader import SHARED
from sluice.loading.dataclass import dataclass
from sluice.loading.toml import read_toml

_FILE = SHARED / "insights.toml"
_ANY = "any"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something held in the simulation, and what that was, in words."""

    value: float
    says: str


@cache
def rates() -> Mapping[str, Rate]:
    """All measured rates, by their names."""
    return {name: Rate(each["rate"], each["says"]) for name, each in _content()["rates"].items()}


def actions(series: str, direction: str) -> Sequence[str]:
    """What to do about a series that has gone up or down."""
    known: Mapping[str, Mapping[str, Sequence[str]]] = _content()["actions"]
    return known.get(series, {}).get(direction) or known[_ANY][direction]


@cache
def _content() -> Mapping[str, Any]:
    return read_toml(_FILE)
