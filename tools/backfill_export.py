"""Exports of Jira and GitHub, an object of JSON a line, as events that a source's path takes: see tools.backfill."""

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sluice.ingestion import github_events as github
from sluice.ingestion.jira_events import BACKFILL_ISSUES as JIRA_ISSUES
from tools.backfill_sources import Cursor, Page, Told, slim

_LINES_AT_ONCE = 100


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
    return None if event is None or not name else (event, {"repository": name, "items": [slim(item)]})


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
