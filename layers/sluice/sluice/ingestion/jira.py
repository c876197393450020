"""What events and issues of Jira say of documents. Pure.

Cloud and Data Center differ: texts are strings of wiki markup, or ADF documents; types and priorities are objects or
strings; comments are in `fields.comment`, or at the top level beside an issue of which little is told.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sluice.ingestion.change import (
    MOST_COMMENT_CHARACTERS,
    MOST_FIELD_CHARACTERS,
    MOST_LINE_CHARACTERS,
    Base,
    Change,
    Comment,
    IgnoredError,
    NotUnderstoodError,
    Reading,
    collected,
    moment,
    versioned,
)
from sluice.ingestion.jira_events import BACKFILL_ISSUES, COMMENT_EVENTS, is_known
from sluice.ingestion.markup import plain_jira
from sluice.ingestion.reading import Lines, id_of, listing, mapping, name_of, names_of, text_of
from sluice.ingestion.source import SourceOptions

KIND = "jira_issue"
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,99}-[0-9]{1,18}", re.ASCII | re.IGNORECASE)
_CUSTOM_FIELD = re.compile(r"custom_?field_[0-9]{1,18}", re.ASCII)
_LEAST_FIELD_CHARACTERS = 10
_MOST_CUSTOM_FIELDS = 20
_MOST_COMMENTS = 100
# What custom fields hold that was written by no person: dates, ranks, sprints, users, and what plug-ins have printed.
_BY_MACHINES = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\S*)?|[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S{1,9} \d{4}|(\S{1,255})\(\2\)"
    r"|\d+\|\S*|\d+_\*:_\S*|\{.*|com\.\S+@.*|https?://\S+|[0-9a-f-]{32,}",
    re.ASCII | re.DOTALL,
)


def read(event: str, payload: Mapping[str, Any], received_ms: int, options: SourceOptions) -> Reading:
    """What an event says. IgnoredError, NotUnderstoodError, if that is nothing."""
    if not is_known(event):
        raise IgnoredError("an event that is of no document")
    told_at = moment(payload.get("timestamp")) or moment(received_ms) or ""
    if event == BACKFILL_ISSUES:
        issues = [mapping(each) for each in listing(payload.get("issues"))]
        return collected(partial(_of_issue, each, told_at, received_ms, options) for each in issues)
    issue = mapping(payload.get("issue"))
    if not issue and event in COMMENT_EVENTS:
        # Data Center tells of each comment twice: so, and with an issue that has all comments.
        raise IgnoredError("a comment without its issue, of which another event tells")
    key = _key(issue, options)
    if event == "jira:issue_deleted":
        gone = Change(document_id=_document_id(key), kind=KIND, deleted_at=versioned(told_at, received_ms))
        return Reading(changes=(gone,))
    change = _of_issue(issue, told_at, received_ms, options)
    former = _moved(payload, key, versioned(told_at, received_ms))
    return Reading(changes=(*former, _with_comment(change, event, payload, received_ms)))


def _of_issue(issue: Mapping[str, Any], told_at: str, received_ms: int, options: SourceOptions) -> Change:
    key = _key(issue, options)
    fields = mapping(issue.get("fields"))
    lines = Lines()
    title = text_of(fields.get("summary"))
    lines.add("Title", title)
    lines.add("Description", plain_jira(fields.get("description")), MOST_FIELD_CHARACTERS)
    lines.add("Type", name_of(fields.get("issuetype")))
    lines.add("Priority", name_of(fields.get("priority")))
    left = MOST_FIELD_CHARACTERS
    for text in _custom_fields(fields, options):
        lines.add("Field", text, min(MOST_COMMENT_CHARACTERS, left))
        left = max(0, left - len(text))
    trailing = Lines()
    trailing.add("Labels", ", ".join(names_of(fields.get("labels"))), MOST_COMMENT_CHARACTERS)
    trailing.add("Components", ", ".join(names_of(fields.get("components"))), MOST_COMMENT_CHARACTERS)
    thread = mapping(fields.get("comment"))
    found = listing(thread.get("comments") or fields.get("comments"))
    comments = [_comment(each, received_ms, lines) for each in found[-_MOST_COMMENTS:]]
    # A few fields come with a comment in place of all: then anything else that is told of the issue counts more.
    is_whole = "description" in fields or "updated" in fields
    updated = (moment(fields.get("updated")) or told_at) if is_whole else ""
    base = Base(
        at=versioned(updated, received_ms) if is_whole else "",
        title=title[:MOST_LINE_CHARACTERS] or key,
        url=_url(issue, key),
        leading=tuple(lines.lines),
        trailing=tuple(trailing.lines),
        attributes=_attributes(key, fields),
    )
    return Change(
        document_id=_document_id(key),
        kind=KIND,
        base=base,
        comments=tuple(each for each in comments if each is not None),
        has_all_comments=is_whole and _is_all(thread, len(found)) and None not in comments,
        trimmed=tuple(dict.fromkeys((*lines.trimmed, *trailing.trimmed))),
    )


def _with_comment(change: Change, event: str, payload: Mapping[str, Any], received_ms: int) -> Change:
    """The change, with the comment that is beside the issue."""
    told = mapping(payload.get("comment"))
    type_name = payload.get("issue_event_type_name")
    if event == "comment_deleted" or type_name == "issue_comment_deleted":
        removed = id_of(told.get("id"))
        if not removed and event == "comment_deleted":
            raise NotUnderstoodError("a deleted comment has no id")
        return replace(change, removed_comments=(removed,) if removed else ())
    if not told:
        if event in COMMENT_EVENTS:
            raise NotUnderstoodError("an event of a comment has none")
        return change
    lines = Lines()
    comment = _comment(told, received_ms, lines)
    if comment is None:
        raise NotUnderstoodError("a comment has no id or no text")
    others = tuple(each for each in change.comments if each.id != comment.id)
    return replace(change, comments=(*others, comment), trimmed=(*change.trimmed, *lines.trimmed))


def _comment(value: object, received_ms: int, lines: Lines) -> Comment | None:
    told = mapping(value)
    comment_id, text = id_of(told.get("id")), plain_jira(told.get("body"))
    if not comment_id or not isinstance(told.get("body"), str | Mapping):
        return None
    created = moment(told.get("created")) or moment(received_ms) or ""
    at = moment(told.get("updated")) or created
    text = lines.cut("Comment", text, MOST_COMMENT_CHARACTERS)
    return Comment(id=comment_id, label="Comment", text=text, created=created, at=versioned(at, received_ms))


def _is_all(thread: Mapping[str, Any], count: int) -> bool:
    """Whether a list of comments is whole, and no page of it."""
    total = thread.get("total")
    return isinstance(thread.get("comments"), list) and type(total) is int and total == count <= _MOST_COMMENTS


def _custom_fields(fields: Mapping[str, Any], options: SourceOptions) -> Iterator[str]:
    taken = 0
    for name, value in fields.items():
        if not isinstance(name, str) or not _CUSTOM_FIELD.fullmatch(name):
            continue
        if options.custom_fields and name not in options.custom_fields:
            continue
        text = _field_text(value)
        if len(text) <= _LEAST_FIELD_CHARACTERS or _BY_MACHINES.fullmatch(text):
            continue
        yield text
        taken += 1
        if taken == _MOST_CUSTOM_FIELDS:
            return


def _field_text(value: object) -> str:
    """What a custom field says: a text, a document, or what is chosen of a list."""
    if isinstance(value, Mapping):
        return plain_jira(value) if value.get("type") == "doc" else text_of(value.get("value"))
    if isinstance(value, list):
        chosen = [text_of(each.get("value")) if isinstance(each, Mapping) else text_of(each) for each in value[:20]]
        return ", ".join(each for each in chosen if each and not _BY_MACHINES.fullmatch(each))
    return plain_jira(value)


def _attributes(key: str, fields: Mapping[str, Any]) -> dict[str, str | float | bool]:
    found: dict[str, str | float | bool] = {"source": "jira", "project": key.partition("-")[0], "key": key}
    for name, of in (("type", "issuetype"), ("priority", "priority"), ("status", "status")):
        if value := name_of(fields.get(of)):
            found[name] = value
    return found


def _moved(payload: Mapping[str, Any], key: str, told_at: str) -> list[Change]:
    """An issue that has moved to another project has another key: the document of the former one goes."""
    items = listing(mapping(payload.get("changelog")).get("items"))
    for item in items[:100]:
        former = mapping(item).get("fromString")
        if (
            mapping(item).get("field") == "Key"
            and isinstance(former, str)
            and _KEY.fullmatch(former)
            and former.upper() != key
        ):
            return [Change(document_id=_document_id(former.upper()), kind=KIND, deleted_at=told_at)]
    return []


def _key(issue: Mapping[str, Any], options: SourceOptions) -> str:
    key = issue.get("key")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise NotUnderstoodError("an issue has no key")
    if not options.takes_project(key.rpartition("-")[0]):
        raise IgnoredError("a project that is not taken")
    return key.upper()


def _document_id(key: str) -> str:
    return f"jira:{key}"


def _url(issue: Mapping[str, Any], key: str) -> str:
    """Where people see the issue: on the site whose API is named in it."""
    own = issue.get("self")
    site, found, _ = own.partition("/rest/api/") if isinstance(own, str) else ("", "", "")
    is_url = (
        found and site.startswith(("https://", "http://")) and len(site) < 500 and site.isascii() and site.isprintable()
    )
    return f"{site}/browse/{key}" if is_url else ""
