"""Documents of a store, as they are given to it and as it keeps them. Pure.

key         half of the SHA-256 of a document's id, in hexadecimal digits, since ids may have any characters
revision    one writing of a document's text, the moment of its beginning first, so that revisions sort as they began
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass

type Attribute = str | float | bool
type Attributes = Mapping[str, Attribute]

MOST_ATTRIBUTES = 16
MOST_KEY_CHARACTERS = 64
MOST_VALUE_CHARACTERS = 512
"""OpenAI's limits of a file's attributes: https://platform.openai.com/docs/api-reference/vector-stores-files."""

MOST_ID_CHARACTERS = 512
MOST_TEXT_BYTES = 20 * 1024 * 1024
_MOST_NAME_CHARACTERS = 2_048
_KIND = re.compile(r"[a-z0-9_-]{1,64}")
_KEY_DIGITS = 32
# DynamoDB's numbers have no more, but for zeros at their end.
_MOST_DIGITS = 38
_MOMENT_DIGITS = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as it is now where it comes from.

    `id` is unique in its store: "jira:PROJ-12", "github:o/r#12", a file's id. `kind` says what it is, "file",
    "jira_issue", "pull_request", "commit", "issue" and so on; searches can be narrowed to one. `version` sorts as text
    by age: a time, and what breaks ties; one that is older than what the store has is ignored. `source` is the file
    that it came in with others, if it did.
    """

    id: str
    kind: str
    text: str
    version: str
    title: str = ""
    url: str = ""
    attributes: Attributes = field(default_factory=dict)
    source: str = ""

    def check(self) -> None:
        """Raise InvalidRequestError for what no store takes."""
        if not 0 < len(self.id) <= MOST_ID_CHARACTERS:
            raise InvalidRequestError(f"id: a document's has 1 to {MOST_ID_CHARACTERS} characters.", param="id")
        if not _KIND.fullmatch(self.kind):
            raise InvalidRequestError(f"kind: {self.kind[:64]!r} should be 1 to 64 of a-z, 0-9, _ and -.", param="kind")
        if not 0 < len(self.version) <= MOST_KEY_CHARACTERS:
            raise InvalidRequestError(f"version: has 1 to {MOST_KEY_CHARACTERS} characters.", param="version")
        if len(self.text.encode("utf-8", "surrogatepass")) > MOST_TEXT_BYTES:
            raise InvalidRequestError(f"text: has more than {MOST_TEXT_BYTES} bytes of UTF-8.", param="text")
        if max(len(self.title), len(self.url)) > _MOST_NAME_CHARACTERS:
            raise InvalidRequestError(f"title and url have {_MOST_NAME_CHARACTERS} characters at most.", param="title")
        check_attributes(self.attributes)


class Outcome(StrEnum):
    """What became of a document that was to be written."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    OLDER = "older"
    KEPT_WITHOUT_VECTORS = "kept_without_vectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a document, and how many chunks it has.

    `reason` says why a text was kept without vectors. `may_pass`: that may pass by itself, and not before
    `retry_after_s` if that is known.
    """

    outcome: Outcome
    chunks: int = 0
    bytes: int = 0
    reason: str = ""
    may_pass: bool = True
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """A document as a store keeps it.

    `current` is the revision that searches find, "" while there is none; `generations` are the numbers of those that it
    has vectors in. `waiting` is a later revision whose texts are there and whose vectors are not, for `reason`.
    `content_hash` is of the newest text. A deleted document stays as the version at which it was deleted.
    """

    key: str
    id: str
    kind: str
    version: str
    title: str = ""
    url: str = ""
    attributes: Attributes = field(default_factory=dict)
    source: str = ""
    content_hash: str = ""
    current: str = ""
    chunks: int = 0
    bytes: int = 0
    generations: tuple[int, ...] = ()
    waiting: str = ""
    waiting_chunks: int = 0
    reason: str = ""
    is_deleted: bool = False

    @property
    def revisions(self) -> frozenset[str]:
        """The revisions whose texts belong to it."""
        return frozenset({self.current, self.waiting} - {""})


def key_of(document_id: str) -> str:
    """What a document is kept under."""
    return hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


def new_revision(now_ms: int) -> str:
    """A revision that nobody else has."""
    return f"{now_ms:0{_MOMENT_DIGITS}d}{secrets.token_hex(4)}"


def begun_at_ms(revision: str) -> int:
    """When a revision began to be written, in milliseconds since 1970."""
    return int(revision[:_MOMENT_DIGITS])


def hash_of(text: str, chunking: str, vector_digest: str = "") -> str:
    """What says whether a document's chunks would be the same: its text, how it is cut, vectors that came with it."""
    parts = json.dumps([text, chunking, vector_digest])
    return hashlib.sha256(parts.encode()).hexdigest()


def check_attributes(attributes: Attributes) -> None:
    """Raise InvalidRequestError for attributes that OpenAI's API would not take."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise InvalidRequestError(
            f"attributes: has {len(attributes)} keys; at most {MOST_ATTRIBUTES} are taken.", param="attributes"
        )
    for key, value in attributes.items():
        if not 0 < len(key) <= MOST_KEY_CHARACTERS:
            raise InvalidRequestError(
                f"attributes: the key {key[:80]!r} should have 1 to {MOST_KEY_CHARACTERS} characters.",
                param="attributes",
            )
        if isinstance(value, str) and len(value) > MOST_VALUE_CHARACTERS:
            raise InvalidRequestError(
                f"attributes: {key!r} has {len(value)} characters; at most {MOST_VALUE_CHARACTERS} are taken.",
                param="attributes",
            )
        # DynamoDB's numbers end there; what is no number compares with nothing.
        if isinstance(value, int | float) and not abs(value) < 1e125:
            raise InvalidRequestError(f"attributes: {key!r} is no number that can be compared.", param="attributes")
        if isinstance(value, int) and len(str(abs(value)).rstrip("0")) > _MOST_DIGITS:
            raise InvalidRequestError(
                f"attributes: {key!r} has more than {_MOST_DIGITS} digits that are not 0 at its end.",
                param="attributes",
            )
