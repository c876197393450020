"""A server on loopback that has GitHub's and Jira's lists, with their paging and limits, and the path of a source."""

import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

SECRET = "the-secret-of-the-source"
SOURCE = "src_acme.019a00000000000000000000"


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer in place of the next one."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "{}"


class SourceApis:
    """What the server has, and what came to it. `failures` are answered first; a page that is in `stuck` never is."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.issues: list[dict[str, Any]] = []
        self.failures: deque[Failure] = deque()
        self.stuck: set[str] = set()
        self.asked: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.is_stuck = threading.Event()
        self._released = threading.Event()
        self._lock = threading.Lock()
        apis = self

        class Handler(BaseHTTPRequestHandler):
            """Answers a request."""

            def do_GET(self) -> None:
                apis.get(self)

            def do_POST(self) -> None:
                apis.post(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def items(self) -> list[Any]:
        """All items that came, of all events."""
        return [item for _, payload in self.events for item in payload.get("items", payload.get("issues", []))]

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a list."""
        with self._lock:
            self.asked.append(handler.path)
            failure = self.failures.popleft() if self.failures else None
        if any(each in handler.path for each in self.stuck):
            self.is_stuck.set()
            self._released.wait()
            return
        if failure is not None:
            self._answer(handler, failure.status, failure.headers, failure.body)
            return
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/repos/"):
            self._github(handler, parts.path, query)
        elif parts.path.endswith("/search/jql"):
            self._jira_cloud(handler, query)
        elif parts.path.endswith("/search"):
            start = int(query["startAt"])
            found = self.issues[start : start + 50]  # fewer than were asked for
            self._json(handler, {"startAt": start, "maxResults": 50, "total": len(self.issues), "issues": found})
        else:
            self._json(handler, {"comments": self.lists[parts.path]})

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        """Take an event, as the path of a source does."""
        body = handler.rfile.read(int(handler.headers["content-length"]))
        signature = handler.headers["x-hub-signature-256"] or handler.headers["x-hub-signature"]
        if signature != "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest():
            self._answer(handler, 401, {}, '{"error": {}}')
            return
        payload = json.loads(body)
        with self._lock:
            self.events.append((payload.get("webhookEvent") or handler.headers["x-github-event"], payload))
        self._answer(handler, 202, {}, '{"status": "queued"}')

    def _github(self, handler: BaseHTTPRequestHandler, path: str, query: Mapping[str, str]) -> None:
        if path not in self.lists:
            self._answer(handler, 404, {}, "{}")
            return
        size, number = int(query["per_page"]), int(query.get("page", "1"))
        items = self.lists[path]
        last = max(1, -(-len(items) // size))
        others = {"next": number + 1, "last": last} if number < last else {}
        links = [f'<{self.url}{path}?per_page={size}&page={page}>; rel="{name}"' for name, page in others.items()]
        self._json(handler, items[(number - 1) * size : number * size], {"link": ", ".join(links)} if links else {})

    def _jira_cloud(self, handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        start = int(query.get("nextPageToken", "token-0").removeprefix("token-"))
        end = start + int(query["maxResults"])
        after = {"nextPageToken": f"token-{end}"} if end < len(self.issues) else {"isLast": True}
        self._json(handler, {"issues": self.issues[start:end], **after})

    def _json(self, handler: BaseHTTPRequestHandler, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self._answer(handler, 200, headers or {}, json.dumps(body))

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: str) -> None:
        handler.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body.encode())


def github_lists(commits: int, issues: int = 0, comments: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The lists of the repository acme/app."""
    root = "/repos/acme/app"
    at = "2026-01-01T00:00:00Z"
    return {
        f"{root}/issues": [
            {"number": number, "title": f"Issue {number}", "body": "Words", "updated_at": at, "labels": [{"name": "a"}]}
            for number in range(1, issues + 1)
        ],
        f"{root}/issues/comments": [
            {"id": number, "body": f"Comment {number}", "issue_url": f"https://x/repos/acme/app/issues/{number}"}
            for number in range(1, comments + 1)
        ],
        f"{root}/pulls/comments": [],
        f"{root}/pulls": [],
        f"{root}/commits": [
            {"sha": f"{number:040x}", "commit": {"message": f"Commit {number}", "committer": {"date": at}}}
            for number in range(commits)
        ],
    }
