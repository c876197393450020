"""What events and lists of GitHub say of documents. Pure.

A pull request and an issue share their numbers, so either is <owner>/<name>#<number>; a commit is <owner>/<name>@<sha>.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from sluice.ingestion.change import (
    MOST_COMMENT_CHARACTERS,
    MOST_FIELD_CHARACTERS,
    MOST_LINE_CHARACTERS,
    Base,
    Change,
    Comment,
    Found,
    IgnoredError,
    NotUnderstoodError,
    Reading,
    collected,
    moment,
)
from sluice.ingestion.github_commits import of_listed_commits, of_push
from sluice.ingestion.github_event import GitHubEvent, attributes_of, url_of
from sluice.ingestion.github_events import (
    BACKFILL_COMMENTS,
    BACKFILL_COMMITS,
    BACKFILL_ISSUES,
    BACKFILL_REVIEW_COMMENTS,
    BACKFILL_REVIEWS,
)
from sluice.ingestion.markup import plain_markdown
from sluice.ingestion.reading import Lines, id_of, mapping, name_of, names_of, text_of
from sluice.ingestion.source import SourceOptions
from sluice.loading.dataclass import dataclass

PULL_REQUEST, ISSUE = "pull_request", "issue"
_NUMBER_OF_URL = re.compile(r".*/(?:issues|pulls|pull)/([0-9]{1,18})(?:[/#?].*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _CommentForm:
    """What stands before a kind of comments, and before their ids, which are numbered apart."""

    label: str
    prefix: str


_ON_ISSUES = _CommentForm("Comment", "")
_ON_LINES = _CommentForm("Review", "line:")
_REVIEWS = _CommentForm("Review", "review:")


def read(event: str, payload: Mapping[str, Any], received_ms: int, options: SourceOptions) -> Reading:
    """What an event says. IgnoredError, NotUnderstoodError, if that is nothing."""
    reader = _READERS.get(event)
    if reader is None:
        raise IgnoredError("an event that is of no document")
    return collected(reader(GitHubEvent(payload, received_ms, options)))


def _of_pull_request(event: GitHubEvent) -> Iterator[Found]:
    yield partial(_thread, event, mapping(event.payload.get("pull_request")), PULL_REQUEST)


def _of_issue(event: GitHubEvent) -> Iterator[Found]:
    issue = mapping(event.payload.get("issue"))
    number = _number(issue.get("number"))
    if event.action in ("deleted", "transferred"):
        # GitHub does not say when. Its clock may be ahead of ours; a deletion comes after all that it is told with.
        deleted_at = max(event.at(event.received_ms), event.at(issue.get("updated_at")))
        yield partial(Change, document_id=event.document_id(number), kind=ISSUE, deleted_at=deleted_at)
    else:
        yield partial(_thread, event, issue, ISSUE)


def _of_issue_comment(event: GitHubEvent) -> Iterator[Found]:
    issue = mapping(event.payload.get("issue"))
    change = _thread(event, issue, PULL_REQUEST if issue.get("pull_request") else ISSUE)
    yield partial(_with_comment, event, change, "comment", _ON_ISSUES)


def _of_review(event: GitHubEvent) -> Iterator[Found]:
    change = _thread(event, mapping(event.payload.get("pull_request")), PULL_REQUEST)
    yield partial(_with_comment, event, change, "review", _REVIEWS)


def _of_review_comment(event: GitHubEvent) -> Iterator[Found]:
    change = _thread(event, mapping(event.payload.get("pull_request")), PULL_REQUEST)
    yield partial(_with_comment, event, change, "comment", _ON_LINES)


def _of_listed_issues(event: GitHubEvent) -> Iterator[Found]:
    for each in event.items:
        kind = PULL_REQUEST if each.get("pull_request") or each.get("head") else ISSUE
        yield partial(_thread, event, each, kind)


def _listed(form: _CommentForm) -> Callable[[GitHubEvent], Iterator[Found]]:
    def read(event: GitHubEvent) -> Iterator[Found]:
        for each in event.items:
            yield partial(_listed_comment, event, each, form)

    return read


def _listed_comment(event: GitHubEvent, told: Mapping[str, Any], form: _CommentForm) -> Change:
    own = next(
        (told[name] for name in ("html_url", "pull_request_url", "issue_url") if isinstance(told.get(name), str)), ""
    )
    found = _NUMBER_OF_URL.fullmatch(own[:2_000])
    if found is None:
        raise NotUnderstoodError("a comment names no issue")
    lines = Lines()
    comment = _comment(event, told, form, lines)
    return Change(
        document_id=event.document_id(int(found[1])),
        kind=ISSUE if form is _ON_ISSUES and "/pull/" not in own else PULL_REQUEST,
        comments=(comment,),
        trimmed=tuple(lines.trimmed),
    )


def _thread(event: GitHubEvent, told: Mapping[str, Any], kind: str) -> Change:
    """What an issue or a pull request says of itself, its comments left out, which come one by one."""
    number = _number(told.get("number"))
    lines, trailing = Lines(), Lines()
    title = text_of(told.get("title"))
    body = told.get("body")
    lines.add("Title", title)
    lines.add("Description", plain_markdown(body) if isinstance(body, str) else "", MOST_FIELD_CHARACTERS)
    lines.add("State", text_of(told.get("state")))
    trailing.add("Labels", ", ".join(names_of(told.get("labels"))), MOST_COMMENT_CHARACTERS)
    author = name_of(mapping(told.get("user")).get("login"))
    base = Base(
        at=event.at(told.get("updated_at")),
        title=title[:MOST_LINE_CHARACTERS] or f"#{number}",
        url=url_of(told.get("html_url")),
        leading=tuple(lines.lines),
        trailing=tuple(trailing.lines),
        attributes=attributes_of(event, number=number, state=name_of(told.get("state")), author=author),
    )
    return Change(
        document_id=event.document_id(number), kind=kind, base=base, trimmed=(*lines.trimmed, *trailing.trimmed)
    )


def _with_comment(event: GitHubEvent, change: Change, name: str, form: _CommentForm) -> Change:
    lines = Lines()
    comment = _comment(event, mapping(event.payload.get(name)), form, lines)
    is_removed = event.action == "deleted"
    return Change(
        document_id=change.document_id,
        kind=change.kind,
        base=change.base,
        comments=() if is_removed else (comment,),
        removed_comments=(comment.id,) if is_removed else (),
        trimmed=(*change.trimmed, *lines.trimmed),
    )


def _comment(event: GitHubEvent, told: Mapping[str, Any], form: _CommentForm, lines: Lines) -> Comment:
    comment_id = id_of(told.get("id"))
    if not comment_id:
        raise NotUnderstoodError("a comment has no id")
    body = told.get("body")
    created = told.get("created_at") or told.get("submitted_at")
    text = plain_markdown(body) if isinstance(body, str) else ""
    return Comment(
        id=f"{form.prefix}{comment_id}",
        label=form.label,
        text=lines.cut(form.label, text, MOST_COMMENT_CHARACTERS),
        created=moment(created) or moment(event.received_ms) or "",
        at=event.at(told.get("updated_at") or created),
    )


def _number(value: object) -> int:
    if type(value) is not int or not 0 < value < 10**18:
        raise NotUnderstoodError("an issue or a pull request has no number")
    return value


_READERS: Mapping[str, Callable[[GitHubEvent], Iterator[Found]]] = {
    "push": of_push,
    "pull_request": _of_pull_request,
    "pull_request_review": _of_review,
    "pull_request_review_comment": _of_review_comment,
    "issues": _of_issue,
    "issue_comment": _of_issue_comment,
    BACKFILL_COMMITS: of_listed_commits,
    BACKFILL_ISSUES: _of_listed_issues,
    BACKFILL_COMMENTS: _listed(_ON_ISSUES),
    BACKFILL_REVIEW_COMMENTS: _listed(_ON_LINES),
    BACKFILL_REVIEWS: _listed(_REVIEWS),
}
