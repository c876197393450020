"""Content of a document: what its events have said so far, in whatever order they came. Pure.

Each part has the moment that it is of, so that an older word on it changes nothing. What was deleted leaves its moment
behind, so that what was written before, and comes later, does not bring it back.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from sluice.ingestion.change import Base, Change, Comment
from sluice.loading.dataclass import dataclass

SHOWN = {"Comment": 3, "Review": 2}
"""How many comments and reviews are part of a text: the latest ones."""
_KEPT_COMMENTS = 6
"""How many of each are kept, so that there are some to show when the latest are deleted."""
_KEPT_REMOVED = 200
# Behind all moments.
_FOR_EVER = "~"
_SEPARATOR = " | "


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A document as far as it is known. `removed` are the moments of comments that are gone, by their ids.

    `revision` is the moment, in milliseconds since 1970, of its last change here, and never goes back.
    """

    kind: str
    base: Base | None = None
    comments: Mapping[str, Comment] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    deleted_at: str = ""
    revision: int = 0

    @property
    def is_deleted(self) -> bool:
        """Whether the document was deleted, and nothing younger was said of it."""
        return bool(self.deleted_at) and (self.base is None or self.base.at <= self.deleted_at)

    @property
    def version(self) -> str:
        """What sorts as text by age."""
        return f"{self.revision:015d}"

    def text(self) -> str:
        """What is searched: "Title: ... | Description: ... | Comment: ..."."""
        if self.base is None:
            return ""
        lines = [*self.base.leading, *((each.label, each.text) for each in self._shown()), *self.base.trailing]
        return _SEPARATOR.join(f"{label}: {text}" for label, text in lines)

    def _shown(self) -> list[Comment]:
        shown: list[Comment] = []
        for label, most in SHOWN.items():
            shown += _latest(self.comments, label, most)
        return shown


def merged(content: Content | None, change: Change, now_ms: int) -> Content:
    """A document after a change; the same one if it says nothing new."""
    before = content or Content(kind=change.kind)
    after = _without_removed(_with_comments(_with_base(before, change), change), change)
    if change.deleted_at is not None and change.deleted_at > after.deleted_at:
        after = replace(after, deleted_at=change.deleted_at)
    if after.is_deleted and not before.is_deleted:
        # Nothing of what was deleted is kept.
        after = replace(after, base=None, comments={}, removed={})
    return before if after == before else replace(after, revision=max(before.revision + 1, now_ms))


def _with_base(content: Content, change: Change) -> Content:
    base = change.base
    if base is None or (content.deleted_at and base.at <= content.deleted_at):
        return content
    if content.base is not None and base.at <= content.base.at:
        return content
    # A comment alone does not tell an issue from a pull request for sure.
    return replace(content, base=base, kind=change.kind)


def _with_comments(content: Content, change: Change) -> Content:
    if content.is_deleted:
        return content
    comments, removed = dict(content.comments), dict(content.removed)
    for each in change.comments:
        known = comments.get(each.id)
        if each.at <= removed.get(each.id, "") or (known is not None and each.at <= known.at):
            continue
        if each.text:
            comments[each.id] = each
            removed.pop(each.id, None)
        else:
            comments.pop(each.id, None)
            removed[each.id] = each.at
    if change.has_all_comments and change.base is not None:
        listed = {each.id for each in change.comments}
        for each in list(comments.values()):
            if each.id not in listed and each.at <= change.base.at:
                del comments[each.id]
                removed[each.id] = change.base.at
    return replace(content, comments=_kept(comments), removed=_last(removed))


def _without_removed(content: Content, change: Change) -> Content:
    if not change.removed_comments or content.is_deleted:
        return content
    gone = set(change.removed_comments)
    comments = {each.id: each for each in content.comments.values() if each.id not in gone}
    return replace(content, comments=comments, removed=_last({**content.removed, **dict.fromkeys(gone, _FOR_EVER)}))


def _kept(comments: Mapping[str, Comment]) -> dict[str, Comment]:
    labels = dict.fromkeys(each.label for each in comments.values())
    return {each.id: each for label in labels for each in _latest(comments, label, _KEPT_COMMENTS)}


def _latest(comments: Mapping[str, Comment], label: str, most: int) -> list[Comment]:
    found = sorted((each for each in comments.values() if each.label == label), key=_age)
    return found[-most:]


def _age(comment: Comment) -> tuple[str, str]:
    return comment.created, comment.id.rjust(100)


def _last(removed: dict[str, str]) -> dict[str, str]:
    return dict(list(removed.items())[-_KEPT_REMOVED:])


def to_json(content: Content) -> dict[str, Any]:
    """A content as it is kept."""
    base = content.base
    return {
        "kind": content.kind,
        "base": None
        if base is None
        else {
            "at": base.at,
            "title": base.title,
            "url": base.url,
            "leading": [list(each) for each in base.leading],
            "trailing": [list(each) for each in base.trailing],
            "attributes": dict(base.attributes),
        },
        "comments": [[each.id, each.label, each.text, each.created, each.at] for each in content.comments.values()],
        "removed": dict(content.removed),
        "deleted_at": content.deleted_at,
        "revision": content.revision,
    }


def from_json(kept: Mapping[str, Any]) -> Content:
    """A content as `to_json` has written it."""
    base = kept["base"]
    comments = [
        Comment(id=each_id, label=label, text=text, created=created, at=at)
        for each_id, label, text, created, at in kept["comments"]
    ]
    return Content(
        kind=kept["kind"],
        base=None
        if base is None
        else Base(
            at=base["at"],
            title=base["title"],
            url=base["url"],
            leading=tuple((label, text) for label, text in base["leading"]),
            trailing=tuple((label, text) for label, text in base["trailing"]),
            attributes=base["attributes"],
        ),
        comments={each.id: each for each in comments},
        removed=kept["removed"],
        deleted_at=kept["deleted_at"],
        revision=kept["revision"],
    )
