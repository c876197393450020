"""What pushes and lists of commits say of commits. Pure."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from sluice.ingestion.change import MOST_COMMENT_CHARACTERS, Base, Change, Found, NotUnderstoodError, moment
from sluice.ingestion.github_event import GitHubEvent, attributes_of, url_of
from sluice.ingestion.markup import one_line
from sluice.ingestion.reading import Lines, listing, mapping, text_of
from sluice.loading.dataclass import dataclass

COMMIT = "commit"
MOST_COMMITS = 2_048
"""How many commits of one push are taken: as many as GitHub sends."""
_MOST_DETAILS_CHARACTERS = 200
_SHOWN_FILES = 3
_HOW = ("added", "modified", "removed")
_MOST_PATH_CHARACTERS = 200

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)


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


def of_push(event: GitHubEvent) -> Iterator[Found]:
    """The commits of a push, the latest last."""
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
        "url": url_of(commit.get("url")),
        **{how: [one_line(path[:_MOST_PATH_CHARACTERS]) for path in listed[how][:_SHOWN_FILES]] for how in _HOW},
        "counts": {how: _count(counted.get(how)) or len(listed[how]) for how in _HOW},
    }


def of_listed_commits(event: GitHubEvent) -> Iterator[Found]:
    """Commits as the REST API has them."""
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


def _commit(event: GitHubEvent, told: _CommitTold) -> Change:
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
        url=url_of(told.url),
        leading=tuple(lines.lines),
        attributes=attributes_of(event, sha=sha, author=text_of(told.author)[:_MOST_PATH_CHARACTERS]),
    )
    return Change(
        document_id=f"github:{event.repository}@{sha}",
        kind=COMMIT,
        base=base,
        trimmed=tuple(lines.trimmed),
        is_immutable=True,
    )


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 10**12 else 0
