"""What was in Jira and GitHub before: `python -m tools.backfill github|jira|jsonl --url URL --source src_... [...]`.

Reads a source's REST API, or an export, page by page, and sends it to the path of a source as signed events: the same
queue and the same worker as for webhooks. Where it is, is written to a file after each page; the same command goes on
there, and what was sent twice is one document. SLUICE_INGEST_SECRET is the source's secret; GITHUB_TOKEN, or JIRA_EMAIL
and JIRA_TOKEN, are what the REST APIs are asked with.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from sluice.ingestion.messages import by_size
from sluice.ingestion.source import SOURCE_ID
from tools.backfill_export import ExportPages
from tools.backfill_sources import Cursor, GitHubPages, JiraPages, Page, Told
from tools.patient_client import PatientClient

STATES = Path(".backfill")
ITEMS_AT_ONCE = 25
_WIDTH = 30
_LISTS = ("items", "issues")


class Pages(Protocol):
    """What there is, page by page."""

    def page(self, cursor: Cursor, /) -> Page:
        """The page that begins at a cursor; {} is the first."""

    def name(self, cursor: Cursor, /) -> str:
        """What a page is of."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    options = _options(arguments)
    secret = os.environ.get("SLUICE_INGEST_SECRET") or sys.exit("SLUICE_INGEST_SECRET has to be the source's secret")
    with httpx.Client(timeout=httpx.Timeout(60, connect=10), follow_redirects=False) as http:
        client = PatientClient(http, say=_say)
        sink = Sink(
            client, f"{_base(options.url)}/v1/ingest/{options.type}/{options.source}", options.type, str(secret)
        )
        state = StateFile.of(options)
        if options.again:
            state.write({}, 0)
        try:
            run(_pages(options, client), sink, state, _show)
        except KeyboardInterrupt:
            sys.exit("\nstopped; the same command goes on from here")


@dataclass(frozen=True, slots=True)
class Sink:
    """Where events go: the path of a source, signed with its secret."""

    client: PatientClient
    url: str
    type: str
    secret: str

    def send(self, told: Iterable[Told]) -> None:
        """Send what a page says. Ends the program if it is refused."""
        for event, payload in together(told):
            # Jira says in the body what it is about, GitHub in a header.
            named = payload if self.type == "github" else {"webhookEvent": event, **payload}
            body = json.dumps(named, separators=(",", ":"), sort_keys=True).encode()
            signature = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            header = "x-hub-signature-256" if self.type == "github" else "x-hub-signature"
            headers = {"content-type": "application/json", header: signature, "x-github-event": event}
            answer = self.client.send("POST", self.url, content=body, headers=headers)
            if answer.status_code != httpx.codes.ACCEPTED:
                sys.exit(f"Sluice answers {answer.status_code}: look at --url, --source and SLUICE_INGEST_SECRET")
            if answer.json().get("status") == "ignored":
                sys.exit(f"Sluice takes nothing of it: {answer.json().get('reason')}")


@dataclass(frozen=True, slots=True)
class StateFile:
    """Where a run is, in a file that is whole at all times."""

    path: Path

    @classmethod
    def of(cls, options: argparse.Namespace) -> "StateFile":
        """The file of a command, by what it asks for."""
        asked = {name: value for name, value in vars(options).items() if name != "again"}
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        return cls(STATES / f"{options.command}-{digest}.json")

    def read(self) -> tuple[Cursor | None, int]:
        """Where to go on, None where all is done, and how many items were sent."""
        if not self.path.exists():
            return {}, 0
        found = json.loads(self.path.read_text())
        return found["cursor"], found["sent"]

    def write(self, cursor: Cursor | None, sent: int) -> None:
        """Note where to go on."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"cursor": cursor, "sent": sent}))
        new.replace(self.path)


type Show = Callable[[str, int, int | None], None]
"""Shows what is sent, how much of it, and of how much, if that is known."""


def run(pages: Pages, sink: Sink, state: StateFile, show: Show) -> int:
    """Send all pages, from where the state says. Returns how many items were sent in all."""
    cursor, sent = state.read()
    while cursor is not None:
        page = pages.page(cursor)
        sink.send(page.told)
        sent += len(page.told)
        show(pages.name(cursor), sent, page.total)
        cursor = page.after
        # After it was sent: who is killed before this line sends a page twice, and none never.
        state.write(cursor, sent)
    show("done", sent, None)
    return sent


def together(told: Iterable[Told]) -> Iterator[Told]:
    """Events, those of one kind and repository as lists of some items each."""
    groups: dict[str, tuple[str, dict[str, Any], str, list[Any]]] = {}
    for event, payload in told:
        name = next((each for each in _LISTS if isinstance(payload.get(each), list)), None)
        if name is None or not event.startswith("backfill:"):
            yield event, payload
            continue
        rest = {key: value for key, value in payload.items() if key != name}
        key = json.dumps([event, rest], sort_keys=True)
        groups.setdefault(key, (event, rest, name, []))[3].extend(payload[name])
    for event, rest, name, items in groups.values():
        for some in by_size(items, ITEMS_AT_ONCE):
            yield event, {**rest, name: some}


def _pages(options: argparse.Namespace, client: PatientClient) -> Pages:
    match options.command:
        case "github":
            token = os.environ.get("GITHUB_TOKEN")
            with_reviews = not options.without_reviews
            return GitHubPages(client, options.api, options.repository, token, with_reviews=with_reviews)
        case "jira":
            email, token = os.environ.get("JIRA_EMAIL"), os.environ.get("JIRA_TOKEN", "")
            basic = base64.b64encode(f"{email}:{token}".encode()).decode()
            authorization = f"Basic {basic}" if email else f"Bearer {token}"
            host = httpx.URL(options.site).host
            is_cloud = host.endswith(".atlassian.net") if options.edition is None else options.edition == "cloud"
            return JiraPages(client, options.site, options.jql, authorization, is_cloud=is_cloud)
        case _:
            return ExportPages(options.file, options.type, options.repository)


def _base(url: str) -> str:
    """The API's address, with or without /v1."""
    return url.rstrip("/").removesuffix("/v1")


def _say(text: str) -> None:
    print(f"\n{time.strftime('%H:%M:%S')} {text}", flush=True)


def _show(name: str, sent: int, total: int | None) -> None:
    is_terminal = sys.stdout.isatty()
    filled = min(_WIDTH, _WIDTH * sent // total) if total else 0
    bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] " if total else ""
    print(f"{'\r\033[K' if is_terminal else ''}{bar}{sent:,} {name}", end="" if is_terminal else "\n", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.backfill", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", required=True, help="the API's address")
    common.add_argument("--source", required=True, help="the id of the source, src_...")
    common.add_argument("--again", action="store_true", help="begin anew, though it was done or is under way")
    github = commands.add_parser("github", parents=[common], help="repositories of GitHub")
    github.add_argument("--repository", required=True, action="append", help="owner/name; may be given several times")
    github.add_argument(
        "--api", default="https://api.github.com", help="https://HOST/api/v3 of GitHub Enterprise Server"
    )
    github.add_argument(
        "--without-reviews", action="store_true", help="leave out reviews, which take a request for each pull request"
    )
    jira = commands.add_parser("jira", parents=[common], help="issues of a Jira site")
    jira.add_argument("--site", required=True, help="https://acme.atlassian.net")
    jira.add_argument("--jql", default="", help="which issues: project = PROJ")
    jira.add_argument("--edition", choices=["cloud", "server"], help="Cloud, or Data Center; known by the host")
    export = commands.add_parser("jsonl", parents=[common], help="an export, with an object of JSON a line")
    export.add_argument("file", help="a path, or s3://bucket/key")
    export.add_argument("--type", choices=["jira", "github"], default="github", help="what it is of")
    export.add_argument("--repository", help="owner/name of what does not say it itself")
    options = parser.parse_args(arguments)
    if not SOURCE_ID.fullmatch(options.source):
        parser.error(f"--source: {options.source!r} is no id of a source; GET /v1/ingest/sources shows them")
    if options.command != "jsonl":
        options.type = options.command
    return options


if __name__ == "__main__":
    main()
