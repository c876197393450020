"""Files and uploads as records. Pure.

owner       acme#key-id, who alone may use them
id          file-0193..., upload_0193...: the moment of their making first, so that ids sort as they were made
"""

import re
import secrets
from enum import StrEnum

from sluice.loading.dataclass import dataclass

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEPT_S = 30 * 86_400
"""How long files of batches are kept, unless their owner says otherwise."""


class Purpose(StrEnum):
    """What a file is for."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"
    USER_DATA = "user_data"
    ASSISTANTS = "assistants"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file. Times are in seconds since 1970; one without `expires_at` is kept until it is deleted."""

    id: str
    owner: str
    filename: str
    purpose: str
    size: int
    created_at: int
    expires_at: int | None = None

    @property
    def key(self) -> str:
        """The name of its object."""
        return object_key(self.owner, self.id, expires=self.expires_at is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that comes in parts, or by a URL. `file_id` is set once it is complete."""

    id: str
    owner: str
    filename: str
    purpose: str
    mime_type: str
    size: int
    status: str
    created_at: int
    expires_at: int
    file_expires_after_s: int | None = None
    file_id: str | None = None

    @property
    def key(self) -> str:
        """The name of the object that its URL writes."""
        return part_key(self.owner, self.id, "whole")


def is_id(text: str) -> bool:
    """Whether a text may be an id of something here: what else is asked for is not there."""
    return _ID.fullmatch(text) is not None


def owner_of(tenant: str, caller: str) -> str:
    """Who owns what an API key made: nobody else sees it."""
    return f"{tenant}#{caller}"


def object_key(owner: str, file_id: str, *, expires: bool) -> str:
    """The name of a file's object. A rule of the bucket deletes what expires, for the case that nobody else does."""
    return f"{'expiring' if expires else 'kept'}/{owner}/{file_id}"


def part_key(owner: str, upload_id: str, part: str) -> str:
    """The name of a part's object, which is deleted in any case."""
    return f"uploads/{owner}/{upload_id}/{part}"


def new_id(prefix: str, now_ms: int) -> str:
    """An id that nobody can guess; later ones sort behind."""
    return f"{prefix}{now_ms:012x}{secrets.token_hex(10)}"
