"""What GitHub, Jira and exports have, page by page, as events that a source's path takes: see tools.backfill.

A cursor says where a page begins; it is JSON, so that a killed run goes on there. Limits of rates are waited for.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from sluice.ingestion import github_events as github
from sluice.ingestion.jira_events import BACKFILL_ISSUES as JIRA_ISSUES

type Cursor = Mapping[str, Any]
type Told = tuple[str, dict[str, Any]]
"""An event's name and payload; payloads of one page that differ in their items alone are sent together."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
# What GitHub asks for where a secondary limit says nothing of time.
_SECONDARY_PAUSE_S = 60.0
_MOST_FAILURES = 12
_PER_PAGE = 100
_LINES_AT_ONCE = 100
_SERVER_ERRORS = 500
_NOTHING_THERE = frozenset({404, 409, 410})  # no issues in this repository, or no commit yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Items of a source, where the next page begins (None: nowhere), and how many there are, if that is known."""

    told: list[Told] = field(default_factory=list)
    after: Cursor | None
    total: int | None = None


class PatientClient:
    """Asks an API, and waits where it says so. `pause` waits for seconds; `say` is told why. `now` is the time."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        pause: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = print,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._pause = pause
        self._say = say
        self._now = now

    def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request until it is answered by something else than a limit or a failing server.

        Ends the program if that does not happen.
        """
        failures = 0
        while True:
            try:
                answer = self._client.request(method, url, **options)
            except httpx.TransportError as error:
                reason, wait_s = type(error).__name__, None
            else:
                wait_s = self._wait_s(answer)
                if wait_s is None and answer.status_code < _SERVER_ERRORS:
                    return answer
                reason = f"status {answer.status_code}"
            failures += 1
            if failures > _MOST_FAILURES:
                sys.exit(f"{httpx.URL(url).host} fails again and again ({reason}); the same command goes on from here")
            # Doubling, so that a limit that is not lifted is not run into for ever.
            grown_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
            waited_s = max(grown_s, wait_s or 0)
            self._say(f"{reason}: waiting {waited_s:.0f} s")
            self._pause(waited_s)

    def _wait_s(self, answer: httpx.Response) -> float | None:
        """How long an answer asks to wait, if it does."""
        given = _seconds(answer.headers.get("retry-after"))
        is_limit = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        if answer.status_code == httpx.codes.FORBIDDEN:
            is_limit = given is not None or answer.headers.get("x-ratelimit-remaining") == "0"
            is_limit = is_limit or "secondary rate limit" in answer.text.lower()
        if not is_limit:
            return given if answer.status_code >= _SERVER_ERRORS else None
        if given is not None:
            return given
        reset_s = _seconds(answer.headers.get("x-ratelimit-reset"))
        if answer.headers.get("x-ratelimit-remaining") == "0" and reset_s is not None:
            return max(1.0, reset_s - self._now() + 1)
        return _SECONDARY_PAUSE_S


class GitHubPages:
    """Issues, pull requests, comments, reviews of lines and commits of repositories, the oldest first."""

    _STREAMS = (
        ("issues", github.BACKFILL_ISSUES, "/issues?state=all&sort=created&direction=asc"),
        ("comments", github.BACKFILL_COMMENTS, "/issues/comments?sort=created&direction=asc"),
        ("review comments", github.BACKFILL_REVIEW_COMMENTS, "/pulls/comments?sort=created&direction=asc"),
        ("commits", github.BACKFILL_COMMITS, "/commits"),
    )

    def __init__(self, client: PatientClient, api: str, repositories: list[str], token: str | None) -> None:
        self._client = client
        self._api = api.rstrip("/")
        self._repositories = repositories
        self._headers = {
            "accept": "application/vnd.github+json",
            "x-github-api-version": "2022-11-28",
            **({"authorization": f"Bearer {token}"} if token else {}),
        }

    def page(self, cursor: Cursor) -> Page:
        """The page that begins at a cursor."""
        place, stream = cursor.get("repository", 0), cursor.get("stream", 0)
        repository = self._repositories[place]
        _, event, path = self._STREAMS[stream]
        sign = "&" if "?" in path else "?"
        url = cursor.get("url") or f"{self._api}/repos/{repository}{path}{sign}per_page={_PER_PAGE}"
        if httpx.URL(url).host != httpx.URL(self._api).host:
            sys.exit("GitHub names a next page on another host, which is not sent a token")
        answer = self._client.send("GET", url, headers=self._headers)
        items: list[Any] = []
        if answer.status_code == httpx.codes.OK:
            items = answer.json()
        elif answer.status_code not in _NOTHING_THERE or (answer.status_code, stream) == (404, 3):
            sys.exit(f"GitHub answers {answer.status_code} for {repository}: look at the name and at GITHUB_TOKEN")
        told: list[Told] = [(event, {"repository": repository, "items": [_slim(each)]}) for each in items]
        last = httpx.URL(answer.links["last"]["url"]).params.get("page") if "last" in answer.links else None
        return Page(
            told=told,
            after=self._after(place, stream, answer.links.get("next", {}).get("url")),
            total=int(last) * _PER_PAGE if last and last.isdigit() else None,
        )

    def _after(self, place: int, stream: int, url: str | None) -> Cursor | None:
        if url:
            return {"repository": place, "stream": stream, "url": url}
        if stream + 1 < len(self._STREAMS):
            return {"repository": place, "stream": stream + 1}
        return {"repository": place + 1} if place + 1 < len(self._repositories) else None

    def name(self, cursor: Cursor) -> str:
        """What a page is of."""
        return f"{self._repositories[cursor.get('repository', 0)]} {self._STREAMS[cursor.get('stream', 0)][0]}"


class JiraPages:
    """Issues of a Jira site, the oldest first, with their comments."""

    def __init__(self, client: PatientClient, site: str, jql: str, authorization: str, *, is_cloud: bool) -> None:
        self._client = client
        self._site = site.rstrip("/")
        # Cloud refuses a query that asks for all there is.
        asked = jql or "project is not EMPTY"
        self._jql = asked if "order by" in asked.lower() else f"{asked} ORDER BY created ASC"
        self._is_cloud = is_cloud
        self._headers = {"accept": "application/json", "authorization": authorization}

    def page(self, cursor: Cursor) -> Page:
        """The page that begins at a cursor."""
        asked: dict[str, Any] = {"jql": self._jql, "fields": "*all", "maxResults": _PER_PAGE}
        path = "/rest/api/3/search/jql" if self._is_cloud else "/rest/api/2/search"
        start = cursor.get("start", 0)
        if self._is_cloud and "token" in cursor:
            asked["nextPageToken"] = cursor["token"]
        if not self._is_cloud:
            asked["startAt"] = start
        found = self._ask(f"{self._site}{path}", asked)
        issues = [self._with_last_comments(each) for each in found.get("issues", [])]
        told: list[Told] = [(JIRA_ISSUES, {"issues": [each]}) for each in issues]
        if self._is_cloud:
            token = found.get("nextPageToken")
            return Page(told=told, after={"token": token} if token and not found.get("isLast") else None)
        total = int(found.get("total", 0))
        # A site may give fewer at once than it is asked for.
        end = start + len(issues)
        return Page(told=told, after={"start": end} if issues and end < total else None, total=total)

    def name(self, _: Cursor) -> str:
        """What a page is of."""
        return "issues"

    def _with_last_comments(self, issue: dict[str, Any]) -> dict[str, Any]:
        """An issue with its latest comments, where a search gives the first ones only."""
        thread = issue.get("fields", {}).get("comment") or {}
        if thread.get("total", 0) <= len(thread.get("comments", [])):
            return issue
        version = 3 if self._is_cloud else 2
        url = f"{self._site}/rest/api/{version}/issue/{issue['id']}/comment"
        latest = self._ask(url, {"orderBy": "-created", "maxResults": 10}).get("comments", [])
        return {**issue, "fields": {**issue["fields"], "comment": {"comments": latest[::-1], "total": thread["total"]}}}

    def _ask(self, url: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._client.send("GET", url, params=asked, headers=self._headers)
        if answer.status_code != httpx.codes.OK:
            sys.exit(f"Jira answers {answer.status_code}: look at --site, --jql, JIRA_EMAIL and JIRA_TOKEN")
        found: dict[str, Any] = answer.json()
        return found


class ExportPages:
    """Lines of an export in a file, or in S3: an object of JSON each."""

    def __init__(self, place: str, source_type: str, repository: str | None) -> None:
        self._place = place
        self._type = source_type
        self._repository = repository
        self._lines: Iterator[str] | None = None
        self._at = -1

    def page(self, cursor: Cursor) -> Page:
        """The page that begins at a cursor."""
        start = cursor.get("line", 0)
        if self._lines is None or self._at != start:
            self._lines = islice(self._open(), start, None)
        lines = list(islice(self._lines, _LINES_AT_ONCE))
        self._at = start + len(lines)
        told = [self._told(line, start + number) for number, line in enumerate(lines, 1) if line.strip()]
        return Page(told=told, after={"line": self._at} if len(lines) == _LINES_AT_ONCE else None)

    def name(self, _: Cursor) -> str:
        """What a page is of."""
        return "lines"

    def _open(self) -> Iterator[str]:
        if not self._place.startswith("s3://"):
            with Path(self._place).open(encoding="utf-8") as file:
                yield from file
            return
        import boto3  # for exports in S3 alone

        bucket, _, key = self._place.removeprefix("s3://").partition("/")
        for line in boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_lines():
            yield line.decode()

    def _told(self, line: str, number: int) -> Told:
        try:
            told = told_of(json.loads(line), self._type, self._repository)
        except ValueError:
            told = None
        if told is None:
            sys.exit(f"line {number} of {self._place} is no event, issue, commit or comment that is known")
        return told


def told_of(item: Any, source_type: str, repository: str | None) -> Told | None:
    """What a line of an export says, None if it is nothing that is known."""
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("event"), str) and isinstance(item.get("payload"), dict):
        return item["event"], item["payload"]
    if source_type == "jira":
        if "webhookEvent" in item:
            # From another time, which no limit is meant for here.
            return str(item["webhookEvent"]), {name: value for name, value in item.items() if name != "timestamp"}
        return (JIRA_ISSUES, {"issues": [item]}) if "key" in item and "fields" in item else None
    named = item.get("repository")
    name = named.get("full_name") if isinstance(named, dict) else named or repository
    event = _event_of(item)
    return None if event is None or not name else (event, {"repository": name, "items": [_slim(item)]})


def _event_of(item: Mapping[str, Any]) -> str | None:
    if "sha" in item and "commit" in item:
        return github.BACKFILL_COMMITS
    if "number" in item and "title" in item:
        return github.BACKFILL_ISSUES
    if "submitted_at" in item:
        return github.BACKFILL_REVIEWS
    if "pull_request_url" in item and "body" in item:
        return github.BACKFILL_REVIEW_COMMENTS
    return github.BACKFILL_COMMENTS if "issue_url" in item and "body" in item else None


_READ_OF_GITHUB = frozenset(
    {"id", "number", "title", "body", "state", "labels", "updated_at", "created_at", "submitted_at", "html_url"}
    | {"issue_url", "pull_request_url", "pull_request", "head", "sha", "commit", "files"}
)


def _slim(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is read of an item: a tenth of what GitHub says."""
    kept = {name: value for name, value in item.items() if name in _READ_OF_GITHUB}
    if "labels" in kept and isinstance(kept["labels"], list):
        kept["labels"] = [each.get("name") if isinstance(each, dict) else each for each in kept["labels"]]
    for name in ("pull_request", "head"):
        if name in kept:
            kept[name] = bool(kept[name])
    if isinstance(kept.get("commit"), dict):
        # Without its signature.
        kept["commit"] = {name: kept["commit"].get(name) for name in ("message", "author", "committer")}
    if isinstance(item.get("user"), dict):
        kept["user"] = {"login": item["user"].get("login")}
    return kept


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
