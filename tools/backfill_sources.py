"""What GitHub and Jira have, page by page, as events that a source's path takes: see tools.backfill.

A cursor says where a page begins; it is JSON, so that a killed run goes on there.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from sluice.ingestion import github_events as github
from sluice.ingestion.jira_events import BACKFILL_ISSUES as JIRA_ISSUES
from tools.patient_client import PatientClient

type Cursor = Mapping[str, Any]
type Told = tuple[str, dict[str, Any]]
"""An event's name and payload; payloads of one page that differ in their items alone are sent together."""

_PER_PAGE = 100
# More than a document shows, for those that say nothing.
_LATEST_REVIEWS = 10
_NOTHING_THERE = frozenset({404, 409, 410})  # no issues in this repository, or no commit yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Items of a source, where the next page begins (None: nowhere), and how many there are, if that is known."""

    told: list[Told] = field(default_factory=list)
    after: Cursor | None
    total: int | None = None


class GitHubPages:
    """Issues, pull requests, comments, comments on lines, commits and reviews of repositories, the oldest first.

    GitHub lists reviews one pull request at a time: without `with_reviews` they are left out.
    """

    _STREAMS = (
        ("issues", github.BACKFILL_ISSUES, "/issues?state=all&sort=created&direction=asc"),
        ("comments", github.BACKFILL_COMMENTS, "/issues/comments?sort=created&direction=asc"),
        ("review comments", github.BACKFILL_REVIEW_COMMENTS, "/pulls/comments?sort=created&direction=asc"),
        ("commits", github.BACKFILL_COMMITS, "/commits"),
        ("pull requests' reviews", github.BACKFILL_REVIEWS, "/pulls?state=all&sort=created&direction=asc"),
    )
    _COMMITS, _REVIEWS = 3, 4

    def __init__(
        self,
        client: PatientClient,
        api: str,
        repositories: list[str],
        token: str | None,
        *,
        with_reviews: bool = True,
    ) -> None:
        self._client = client
        self._last_stream = self._REVIEWS if with_reviews else self._COMMITS
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
        answer = self._get(url)
        items: list[Any] = []
        if answer.status_code == httpx.codes.OK:
            items = answer.json()
        elif answer.status_code not in _NOTHING_THERE or (answer.status_code, stream) == (404, self._COMMITS):
            sys.exit(f"GitHub answers {answer.status_code} for {repository}: look at the name and at GITHUB_TOKEN")
        if stream == self._REVIEWS:
            items = [review for each in items for review in self._reviews(repository, each["number"])]
        told: list[Told] = [(event, {"repository": repository, "items": [slim(each)]}) for each in items]
        last = httpx.URL(answer.links["last"]["url"]).params.get("page") if "last" in answer.links else None
        return Page(
            told=told,
            after=self._after(place, stream, answer.links.get("next", {}).get("url")),
            total=int(last) * _PER_PAGE if last and last.isdigit() else None,
        )

    def _reviews(self, repository: str, number: int) -> list[Any]:
        """The latest reviews of a pull request, the oldest of them first."""
        answer = self._get(f"{self._api}/repos/{repository}/pulls/{number}/reviews?per_page={_PER_PAGE}")
        if answer.status_code == httpx.codes.OK and "last" in answer.links:
            answer = self._get(answer.links["last"]["url"])
        if answer.status_code == httpx.codes.OK:
            reviews: list[Any] = answer.json()[-_LATEST_REVIEWS:]
            return reviews
        if answer.status_code in _NOTHING_THERE:
            return []
        sys.exit(f"GitHub answers {answer.status_code} for reviews of {repository}: look at GITHUB_TOKEN")

    def _get(self, url: str) -> httpx.Response:
        if httpx.URL(url).host != httpx.URL(self._api).host:
            sys.exit("GitHub names a next page on another host, which is not sent a token")
        return self._client.send("GET", url, headers=self._headers)

    def _after(self, place: int, stream: int, url: str | None) -> Cursor | None:
        if url:
            return {"repository": place, "stream": stream, "url": url}
        if stream < self._last_stream:
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


_READ_OF_GITHUB = frozenset(
    {"id", "number", "title", "body", "state", "labels", "updated_at", "created_at", "submitted_at", "html_url"}
    | {"issue_url", "pull_request_url", "pull_request", "head", "sha", "commit", "files"}
)


def slim(item: Mapping[str, Any]) -> dict[str, Any]:
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
