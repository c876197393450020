"""What an event says of a document: some of it, or all, as of a moment. Pure.

Sources tell of one thing in several events: of an issue, of each comment on it, and of what was deleted. A Change is
what one of them says, and `content` puts them together.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime

from sluice.loading.dataclass import dataclass

MOST_FIELD_CHARACTERS = 20_000
"""How much is kept of a description."""
MOST_COMMENT_CHARACTERS = 4_000
"""How much is kept of a comment, or of a field beside title and description."""
MOST_LINE_CHARACTERS = 500
"""How much is kept of a title, a label or a name."""

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)
_MOST_MS = 253_402_300_799_999  # the last moment of the year 9999

type Line = tuple[str, str]
"""A label and what stands behind it: ("Title", "It does not start")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment or a review, as of `at`. `label` is what stands before it; the latest by `created` are shown."""

    id: str
    label: str
    text: str
    created: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A document without its comments, which stand between its `leading` and `trailing` lines, as of `at`."""

    at: str
    title: str
    url: str
    leading: tuple[Line, ...]
    trailing: tuple[Line, ...] = ()
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one event says of one document. Moments are as `moment` makes them.

    With `has_all_comments`, those of the document that are not among `comments`, and no younger than `base`, are gone.
    `deleted_at`: the document itself is. `trimmed` names what did not fit. What `is_immutable` never changes and has no
    comments: a commit.
    """

    document_id: str
    kind: str
    base: Base | None = None
    comments: tuple[Comment, ...] = ()
    has_all_comments: bool = False
    removed_comments: tuple[str, ...] = ()
    deleted_at: str | None = None
    trimmed: tuple[str, ...] = ()
    is_immutable: bool = False


class IgnoredError(Exception):
    """An event that is understood and not taken; its text says why, for the report, and quotes nothing of it."""


class NotUnderstoodError(Exception):
    """An event whose form is not known; its text says what is missing, and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an event says: its changes, and why some of what it lists is not understood."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...] = ()


type Found = Callable[[], Change]
"""One thing of an event, to be read. Raises NotUnderstoodError."""


def collected(found: Iterable[Found]) -> Reading:
    """The changes of an event. Raises if its only one is not understood or not taken; of several, the others count."""
    listed = list(found)
    if len(listed) == 1:
        return Reading(changes=(listed[0](),))
    changes, problems = [], []
    for read in listed:
        try:
            changes.append(read())
        except (NotUnderstoodError, IgnoredError) as error:
            problems.append(str(error))
    return Reading(changes=tuple(changes), problems=tuple(problems))


def moment(value: object) -> str | None:
    """A time of a source as text that sorts by age, in UTC: 2026-01-31T12:00:00.000Z. None if it is none.

    It takes ISO 8601 as GitHub and Jira write it, and milliseconds since 1970.
    """
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            return None if not 0 <= value <= _MOST_MS else _text(datetime.fromtimestamp(value / 1000, UTC))
        found = _ISO.fullmatch(value.strip()[:64]) if isinstance(value, str) else None
        if found is None:
            return None
        year, month, day, hour, minute = (int(found[each]) for each in range(1, 6))
        fraction = ((found[7] or "") + "000")[:3]
        zone = (found[8] or "Z").upper().replace(":", "")
        at = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{int(found[6] or 0):02d}.{fraction}"
        return _text(datetime.fromisoformat(f"{at}{'+0000' if zone == 'Z' else zone}"))
    except (ValueError, OverflowError, OSError):
        return None


def versioned(at: str, received_ms: int) -> str:
    """A moment of a source, and when it was told, for what the source changes twice within its clock's step."""
    return f"{at}~{received_ms:014d}"


def _text(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
