"""Sources: the Jira sites and GitHub accounts whose events a tenant takes in. Pure."""

import re
import secrets
from dataclasses import field
from enum import StrEnum

from sluice.loading.dataclass import dataclass
from sluice.tenants.tenant import TENANT_ID_PATTERN

MOST_SOURCES = 20
"""How many sources a tenant may have."""
OVERLAP_S = 86_400
"""How long a replaced secret is still taken beside the new one, where that is asked for."""
SOURCE_ID = re.compile(rf"src_({TENANT_ID_PATTERN})\.([0-9a-f]{{24}})", re.ASCII)
"""A source's id names its tenant, so that one read finds it: what sends events has no API key."""
_HINT_CHARACTERS = 4


class SourceType(StrEnum):
    """Where events come from."""

    JIRA = "jira"
    GITHUB = "github"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What is taken: of Jira these projects and custom fields, of GitHub these repositories; empty is all."""

    projects: tuple[str, ...] = ()
    custom_fields: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()

    def takes_project(self, key: str) -> bool:
        """Whether issues of a Jira project are taken."""
        return not self.projects or key.upper() in {each.upper() for each in self.projects}

    def takes_repository(self, full_name: str) -> bool:
        """Whether a repository is taken, which one entry may name, owner/name, or all of its owner, owner/*."""
        name = full_name.lower()
        owner = name.partition("/")[0]
        return not self.repositories or not {name, f"{owner}/*"}.isdisjoint(each.lower() for each in self.repositories)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source of a tenant, and the vector store that its documents go to. Times are in seconds since 1970.

    What it signs with is in `sealed_secret`, and until `previous_until` in `previous_sealed` as well: see `secret`.
    `hint` is the end of its secret. Of one that is not `is_enabled` nothing is taken. Documents are written with the
    rights, and the budget, of `caller`, an API key, or of `user` whose login that is: who has changed the source last.
    """

    id: str
    tenant: str
    type: SourceType
    name: str
    vector_store_id: str
    sealed_secret: str = field(repr=False)
    hint: str
    created_at: int
    updated_at: int
    caller: str
    is_login: bool = False
    user: str | None = None
    options: SourceOptions = SourceOptions()
    is_enabled: bool = True
    previous_sealed: str | None = field(default=None, repr=False)
    previous_until: int = 0

    def sealed_secrets(self, now_s: float) -> list[str]:
        """What it may sign with now, sealed, the newest first."""
        is_overlapping = self.previous_sealed is not None and now_s < self.previous_until
        return [self.sealed_secret, str(self.previous_sealed)] if is_overlapping else [self.sealed_secret]

    @property
    def path(self) -> str:
        """Where its events are sent, below the API's address."""
        return f"/v1/ingest/{self.type}/{self.id}"


def new_source_id(tenant: str) -> str:
    """An id that nobody can guess."""
    return f"src_{tenant}.{secrets.token_hex(12)}"


def tenant_of(source_id: str) -> str | None:
    """Whose a source is, by its id; None if it is no id."""
    found = SOURCE_ID.fullmatch(source_id)
    return found[1] if found else None


def hint_of(secret: str) -> str:
    """What is shown of a secret later: nothing of a short one."""
    return secret[-_HINT_CHARACTERS:] if len(secret) >= 4 * _HINT_CHARACTERS else ""
