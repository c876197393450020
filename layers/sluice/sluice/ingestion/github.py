"""What events and lists of GitHub say of documents. Pure.

A pull request and an issue share their numbers, so either is <owner>/<name>#<number>; a commit is <owner>/<name>@<sha>.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
    versioned,
)
from sluice.ingestion.github_events import (
    BACKFILL_COMMENTS,
    BACKFILL_COMMITS,
    BACKFILL_ISSUES,
    BACKFILL_REVIEW_COMMENTS,
    BACKFILL_REVIEWS,
)
from sluice.ingestion.markup import one_line, plain_markdown
from sluice.ingestion.reading import Lines, id_of, listing, mapping, name_of, names_of, text_of
from sluice.ingestion.source import SourceOptions

COMMIT, PULL_REQUEST, ISSUE = "commit", "pull_request", "issue"
MOST_COMMITS = 2_048
"""How many commits of one push are taken: as many as GitHub sends."""
_MOST_DETAILS_CHARACTERS = 200
_SHOWN_FILES = 3
_HOW = ("added", "modified", "removed")
_MOST_PATH_CHARACTERS = 200

_FULL_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_NUMBER_OF_URL = re.compile(r".*/(?:issues|pulls|pull)/([0-9]{1,18})(?:[/#?].*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _CommentForm:
    """What stands before a kind of comments, and before their ids, which are numbered apart."""

    label: str
    prefix: str


_ON_ISSUES = _CommentForm("Comment", "")
_ON_LINES = _CommentForm("Review", "line:")
_REVIEWS = _CommentForm("Review", "review:")


@dataclass(frozen=True, slots=True, kw_only=True)
class _CommitTold:
    """A commit as an event or a list tells of it: values of any type, but for the last two."""

    sha: object
    message: object
    at: object
    author: object
    url: object
    files: tuple[str, ...]
    changes: str


class _Event:
    """An event of one repository, and when it was told."""

    def __init__(self, payload: Mapping[str, Any], received_ms: int, options: SourceOptions) -> None:
        repository = payload.get("repository")
        name = repository if isinstance(repository, str) else mapping(repository).get("full_name")
        if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
            raise NotUnderstoodError("an event names no repository")
        if not options.takes_repository(name):
            raise IgnoredError("a repository that is not taken")
        self.payload = payload
        self.repository = name
        self.received_ms = received_ms

    @property
    def action(self) -> object:
        return self.payload.get("action")

    @property
    def items(self) -> list[Mapping[str, Any]]:
        return [mapping(each) for each in listing(self.payload.get("items"))]

    def at(self, value: object) -> str:
        """The moment of a part, and when it was told of."""
        return versioned(moment(value) or moment(self.received_ms) or "", self.received_ms)

    def document_id(self, number: int) -> str:
        return f"github:{self.repository}#{number}"


def read(event: str, payload: Mapping[str, Any], received_ms: int, options: SourceOptions) -> Reading:
    """What an event says. IgnoredError, NotUnderstoodError, if that is nothing."""
    reader = _READERS.get(event)
    if reader is None:
        raise IgnoredError("an event that is of no document")
    return collected(reader(_Event(payload, received_ms, options)))


def _of_push(event: _Event) -> Iterator[Found]:
    commits = listing(event.payload.get("commits"))
    if not commits and mapping(event.payload.get("head_commit")):
        commits = [event.payload["head_commit"]]
    # The latest come last.
    for each in commits[-MOST_COMMITS:]:
        commit = shortened(each)
        counts = {how: commit["counts"][how] for how in _HOW}
        told = _CommitTold(
            sha=commit["id"],
            message=commit["message"],
            at=commit["timestamp"],
            author=mapping(commit["author"]).get("name"),
            url=commit["url"],
            files=tuple(path for how in _HOW for path in commit[how]),
            changes=", ".join(f"{count} {how}" for how, count in counts.items()) if any(counts.values()) else "",
        )
        yield partial(_commit, event, told)


def shortened(value: object) -> dict[str, Any]:
    """A commit of a push, of which what is read is left, and counts of its files in place of most of their names."""
    commit = mapping(value)
    message, counted = commit.get("message"), mapping(commit.get("counts"))
    listed = {how: [path for path in listing(commit.get(how)) if isinstance(path, str)] for how in _HOW}
    return {
        "id": commit.get("id"),
        "message": message[:MOST_COMMENT_CHARACTERS] if isinstance(message, str) else None,
        "timestamp": text_of(commit.get("timestamp"))[:_MOST_PATH_CHARACTERS],
        "author": {"name": text_of(mapping(commit.get("author")).get("name"))[:_MOST_PATH_CHARACTERS]},
        "url": _url(commit.get("url")),
        **{how: [one_line(path[:_MOST_PATH_CHARACTERS]) for path in listed[how][:_SHOWN_FILES]] for how in _HOW},
        "counts": {how: _count(counted.get(how)) or len(listed[how]) for how in _HOW},
    }


def _of_listed_commits(event: _Event) -> Iterator[Found]:
    for each in event.items:
        commit = mapping(each.get("commit"))
        files = [mapping(file) for file in listing(each.get("files"))]
        added, deleted = (sum(_count(file.get(how)) for file in files) for how in ("additions", "deletions"))
        told = _CommitTold(
            sha=each.get("sha"),
            message=commit.get("message"),
            at=mapping(commit.get("committer")).get("date") or mapping(commit.get("author")).get("date"),
            author=mapping(commit.get("author")).get("name"),
            url=each.get("html_url"),
            files=tuple(file["filename"] for file in files if isinstance(file.get("filename"), str)),
            changes=f"+{added} -{deleted}" if files else "",
        )
        yield partial(_commit, event, told)


def _commit(event: _Event, told: _CommitTold) -> Change:
    sha, message = told.sha, told.message
    if not isinstance(sha, str) or not _SHA.fullmatch(sha):
        raise NotUnderstoodError("a commit has no id")
    if not isinstance(message, str):
        raise NotUnderstoodError("a commit has no message")
    first, _, rest = message[:100_000].strip().partition("\n")
    summary = one_line(first)
    lines = Lines()
    lines.add("Message", summary, MOST_COMMENT_CHARACTERS)
    # The first paragraph below the summary; signatures and the like come after it.
    details = one_line(rest.strip().partition("\n\n")[0])
    lines.add("Details", details[:_MOST_DETAILS_CHARACTERS].rstrip())
    shown = [one_line(path)[:_MOST_PATH_CHARACTERS] for path in told.files[:_SHOWN_FILES]]
    lines.add("Files", ", ".join(shown), MOST_COMMENT_CHARACTERS)
    lines.add("Changes", told.changes)
    base = Base(
        # Two ways of telling of one commit: the one with files is the better one, whichever comes first.
        at=f"{moment(told.at) or moment(event.received_ms)}~{1 if told.files else 0}",
        title=summary[:_MOST_PATH_CHARACTERS] or sha,
        url=_url(told.url),
        leading=tuple(lines.lines),
        attributes=_attributes(event, sha=sha, author=text_of(told.author)[:_MOST_PATH_CHARACTERS]),
    )
    return Change(
        document_id=f"github:{event.repository}@{sha}",
        kind=COMMIT,
        base=base,
        trimmed=tuple(lines.trimmed),
        is_immutable=True,
    )


def _of_pull_request(event: _Event) -> Iterator[Found]:
    yield partial(_thread, event, mapping(event.payload.get("pull_request")), PULL_REQUEST)


def _of_issue(event: _Event) -> Iterator[Found]:
    issue = mapping(event.payload.get("issue"))
    number = _number(issue.get("number"))
    if event.action in ("deleted", "transferred"):
        # GitHub does not say when. Its clock may be ahead of ours; a deletion comes after all that it is told with.
        deleted_at = max(event.at(event.received_ms), event.at(issue.get("updated_at")))
        yield partial(Change, document_id=event.document_id(number), kind=ISSUE, deleted_at=deleted_at)
    else:
        yield partial(_thread, event, issue, ISSUE)


def _of_issue_comment(event: _Event) -> Iterator[Found]:
    issue = mapping(event.payload.get("issue"))
    change = _thread(event, issue, PULL_REQUEST if issue.get("pull_request") else ISSUE)
    yield partial(_with_comment, event, change, "comment", _ON_ISSUES)


def _of_review(event: _Event) -> Iterator[Found]:
    change = _thread(event, mapping(event.payload.get("pull_request")), PULL_REQUEST)
    yield partial(_with_comment, event, change, "review", _REVIEWS)


def _of_review_comment(event: _Event) -> Iterator[Found]:
    change = _thread(event, mapping(event.payload.get("pull_request")), PULL_REQUEST)
    yield partial(_with_comment, event, change, "comment", _ON_LINES)


def _of_listed_issues(event: _Event) -> Iterator[Found]:
    for each in event.items:
        kind = PULL_REQUEST if each.get("pull_request") or each.get("head") else ISSUE
        yield partial(_thread, event, each, kind)


def _listed(form: _CommentForm) -> Callable[[_Event], Iterator[Found]]:
    def read(event: _Event) -> Iterator[Found]:
        for each in event.items:
            yield partial(_listed_comment, event, each, form)

    return read


def _listed_comment(event: _Event, told: Mapping[str, Any], form: _CommentForm) -> Change:
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


def _thread(event: _Event, told: Mapping[str, Any], kind: str) -> Change:
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
        url=_url(told.get("html_url")),
        leading=tuple(lines.lines),
        trailing=tuple(trailing.lines),
        attributes=_attributes(event, number=number, state=name_of(told.get("state")), author=author),
    )
    return Change(
        document_id=event.document_id(number), kind=kind, base=base, trimmed=(*lines.trimmed, *trailing.trimmed)
    )


def _with_comment(event: _Event, change: Change, name: str, form: _CommentForm) -> Change:
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


def _comment(event: _Event, told: Mapping[str, Any], form: _CommentForm, lines: Lines) -> Comment:
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


def _attributes(event: _Event, **others: str | float) -> dict[str, str | float | bool]:
    known = {name: value for name, value in others.items() if value != ""}
    return {"source": "github", "repository": event.repository, **known}


def _number(value: object) -> int:
    if type(value) is not int or not 0 < value < 10**18:
        raise NotUnderstoodError("an issue or a pull request has no number")
    return value


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 10**12 else 0


def _url(value: object) -> str:
    is_url = isinstance(value, str) and value.startswith(("https://", "http://")) and len(value) <= 2_000
    return value if is_url and isinstance(value, str) and value.isascii() and value.isprintable() else ""


_READERS: Mapping[str, Callable[[_Event], Iterator[Found]]] = {
    "push": _of_push,
    "pull_request": _of_pull_request,
    "pull_request_review": _of_review,
    "pull_request_review_comment": _of_review_comment,
    "issues": _of_issue,
    "issue_comment": _of_issue_comment,
    BACKFILL_COMMITS: _of_listed_commits,
    BACKFILL_ISSUES: _of_listed_issues,
    BACKFILL_COMMENTS: _listed(_ON_ISSUES),
    BACKFILL_REVIEW_COMMENTS: _listed(_ON_LINES),
    BACKFILL_REVIEWS: _listed(_REVIEWS),
}
