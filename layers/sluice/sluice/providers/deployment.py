"""A deployment: one model on one credential, with its limits."""

from typing import NamedTuple

from sluice.catalog.model import Model, ProviderRow
from sluice.loading.dataclass import dataclass
from sluice.providers.base import ProviderConfig


class DeploymentLimit(NamedTuple):
    """A capacity, by limit name. `is_fixed`: the credential says so itself, rather than the catalogue."""

    name: str
    capacity: int
    is_fixed: bool


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model on one credential. `priority` is its rank among all deployments, 1 first."""

    provider: ProviderRow
    alias: str
    model: Model
    config: ProviderConfig
    limits: tuple[DeploymentLimit, ...]
    priority: int
    enabled: bool = True

    @property
    def id(self) -> str:
        """`<alias>#<model id>`."""
        return f"{self.alias}#{self.model.id}"
