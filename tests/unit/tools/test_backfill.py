import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.ingestion import github, jira
from sluice.ingestion.source import SourceOptions
from tests.payloads import github_payload, jira_comment, jira_event, jira_issue
from tests.source_apis import SECRET, SOURCE, Failure, SourceApis, github_lists
from tools import backfill, backfill_sources
from tools.backfill_export import told_of
from tools.patient_client import PatientClient
from tools.processes import ROOT


@pytest.fixture
def apis() -> Iterator[SourceApis]:
    with SourceApis() as server:
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """How long was waited, which takes no time here."""
    waited: list[float] = []
    monkeypatch.chdir(tmp_path)
    for name, value in {"SLUICE_INGEST_SECRET": SECRET, "GITHUB_TOKEN": "ghp_x", "JIRA_TOKEN": "t"}.items():
        monkeypatch.setenv(name, value)
    made = PatientClient.__init__

    def patient(self: PatientClient, client: httpx.Client, **options: Any) -> None:
        made(self, client, **{**options, "pause": waited.append, "now": lambda: 1_000_000.0})

    monkeypatch.setattr(PatientClient, "__init__", patient)
    return waited


def command(apis: SourceApis, name: str, *options: str) -> list[str]:
    of_github = ["--repository", "acme/app", "--api", apis.url] if name == "github" else []
    of_jira = ["--site", apis.url] if name == "jira" else []
    return [name, "--url", f"{apis.url}/v1", "--source", SOURCE, *of_github, *of_jira, *options]


def test_all_of_a_repository_is_sent_in_small_events(apis: SourceApis, waits: list[float]) -> None:
    apis.lists = github_lists(commits=230, issues=110, comments=3)
    backfill.main(command(apis, "github"))
    shas = {each["sha"] for each in apis.items if "sha" in each}
    numbers = {each["number"] for each in apis.items if "number" in each}
    assert (len(shas), len(numbers), len(apis.items)) == (230, 110, 343)
    assert max(len(payload["items"]) for _, payload in apis.events) == 25
    assert waits == []
    for event, payload in apis.events:
        assert len(github.read(event, payload, 1, SourceOptions()).changes) == len(payload["items"])


def test_the_latest_reviews_of_each_pull_request_are_sent(apis: SourceApis, waits: list[float]) -> None:
    root = "/repos/acme/app"
    apis.lists = github_lists(commits=1) | {
        f"{root}/pulls": [{"number": number} for number in range(1, 131)],
        **{
            f"{root}/pulls/{number}/reviews": [
                {
                    "id": 1_000 * number + place,
                    "body": f"Review {place}",
                    "state": "COMMENTED",
                    "submitted_at": "2026-01-01T00:00:00Z",
                    "pull_request_url": f"https://x/repos/acme/app/pulls/{number}",
                }
                for place in range(120 if number == 7 else number % 3)
            ]
            for number in range(1, 131)
            if number != 9  # which is gone meanwhile
        },
    }
    backfill.main(command(apis, "github"))
    reviews = [each for event, payload in apis.events if event == "backfill:reviews" for each in payload["items"]]
    of_seven = [each["id"] for each in reviews if each["pull_request_url"].endswith("/7")]
    assert of_seven == list(range(7_110, 7_120))
    assert len(reviews) == 10 + sum(number % 3 for number in range(1, 131) if number not in {7, 9})
    for event, payload in apis.events:
        assert github.read(event, payload, 1, SourceOptions()).problems == ()
    asked = len(apis.asked)
    backfill.main(command(apis, "github", "--without-reviews"))
    assert not [each for each in apis.asked[asked:] if "reviews" in each]


def test_a_repository_without_issues_or_commits_is_done_and_one_that_is_not_there_is_said(
    apis: SourceApis, waits: list[float]
) -> None:
    apis.lists = {"/repos/acme/app/commits": github_lists(commits=1)["/repos/acme/app/commits"]}
    backfill.main(command(apis, "github"))
    assert (len(apis.items), waits) == (1, [])
    apis.lists = {}
    with pytest.raises(SystemExit, match="GitHub answers 404"):
        backfill.main(command(apis, "github", "--again"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "least_s", "most_s"),
    [
        (Failure(429, {"retry-after": "17"}), 17, 17),
        (Failure(403, {"retry-after": "30"}), 30, 30),
        (Failure(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000090"}), 90, 92),
        (Failure(403, {}, '{"message": "You have exceeded a secondary rate limit."}'), 60, 60),
        (Failure(429, {}), 60, 60),
        (Failure(500), 0.8, 1.2),
        (Failure(503, {"retry-after": "9"}), 9, 9),
    ],
)
def test_limits_and_failures_are_waited_for(
    apis: SourceApis, waits: list[float], failure: Failure, least_s: float, most_s: float
) -> None:
    apis.lists = github_lists(commits=1)
    apis.failures.append(failure)
    backfill.main(command(apis, "github"))
    assert len(waits) == 1
    assert least_s <= waits[0] <= most_s
    assert len(apis.items) == 1


def test_waits_grow_and_end(apis: SourceApis, waits: list[float]) -> None:
    apis.lists = github_lists(commits=1)
    apis.failures.extend([Failure(502)] * 20)
    with pytest.raises(SystemExit, match="again and again"):
        backfill.main(command(apis, "github"))
    assert len(waits) == 12
    assert all(later > 1.2 * earlier or later > 200 for earlier, later in pairwise(waits))
    apis.failures.clear()
    backfill.main(command(apis, "github"))
    assert len(apis.items) == 1


def test_what_is_forbidden_for_good_is_said_at_once(apis: SourceApis, waits: list[float]) -> None:
    apis.failures.append(Failure(403, {"x-ratelimit-remaining": "55"}, '{"message": "Must have admin rights"}'))
    with pytest.raises(SystemExit, match="GITHUB_TOKEN"):
        backfill.main(command(apis, "github"))
    assert waits == []


def test_a_token_goes_to_no_other_host(apis: SourceApis, waits: list[float]) -> None:
    apis.failures.append(Failure(200, {"link": '<https://elsewhere.example/page=2>; rel="next"'}, "[]"))
    with pytest.raises(SystemExit, match="another host"):
        backfill.main(command(apis, "github"))


@pytest.mark.parametrize("edition", ["cloud", "server"])
def test_all_issues_of_a_site_are_sent(apis: SourceApis, waits: list[float], edition: str) -> None:
    apis.issues = [jira_issue(f"PROJ-{number}") for number in range(1, 231)]
    apis.failures.append(Failure(429, {"retry-after": "3"}))
    backfill.main(command(apis, "jira", "--edition", edition))
    assert sorted(each["key"] for each in apis.items) == sorted(each["key"] for each in apis.issues)
    assert waits == [3]
    assert "ORDER+BY+created+ASC" in apis.asked[0].replace("%20", "+")
    for event, payload in apis.events:
        assert jira.read(event, payload, 1, SourceOptions()).problems == ()


def test_of_many_comments_the_latest_are_asked_for(apis: SourceApis, waits: list[float]) -> None:
    first = [jira_comment("1", "the first")]
    latest = [jira_comment("9", "the last"), jira_comment("8", "the one before")]
    apis.issues = [jira_issue(comment={"comments": first, "total": 9})]
    apis.lists["/rest/api/3/issue/10012/comment"] = latest
    backfill.main(command(apis, "jira", "--edition", "cloud"))
    assert [each["id"] for each in apis.items[0]["fields"]["comment"]["comments"]] == ["8", "9"]


def test_an_export_is_sent_line_by_line(apis: SourceApis, waits: list[float], tmp_path: Path) -> None:
    commits = github_lists(commits=250)["/repos/acme/app/commits"]
    event = {"event": "issues", "payload": github_payload("issues.opened")}
    path = tmp_path / "export.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in [*commits, event]) + "\n\n")
    backfill.main(command(apis, "jsonl", str(path), "--repository", "acme/app"))
    assert len(apis.items) == 250
    assert apis.events[-1][0] == "backfill:commits" or ("issues" in {name for name, _ in apis.events})
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"what": "is this"}\n')
    with pytest.raises(SystemExit, match="line 1 of"):
        backfill.main(command(apis, "jsonl", str(broken)))


def test_lines_of_exports_are_known_by_what_they_have() -> None:
    assert told_of(jira_issue(), "jira", None) == ("backfill:issues", {"issues": [jira_issue()]})
    told = told_of(jira_event(), "jira", None)
    assert told is not None
    assert (told[0], "timestamp" in told[1]) == ("jira:issue_created", False)
    comment = github_payload("issue_comment.created")["comment"]
    for item, event in [
        (github_payload("issues.opened")["issue"], "backfill:issues"),
        (comment, "backfill:comments"),
        (github_payload("pull_request_review_comment.created")["comment"], "backfill:review_comments"),
        (github_payload("pull_request_review.submitted")["review"], "backfill:reviews"),
    ]:
        told = told_of(item, "github", "acme/app")
        assert told is not None
        assert told[0] == event
        [change] = github.read(*told, 1, SourceOptions()).changes
        assert change.document_id.startswith("github:acme/app#")
    assert told_of(comment, "github", None) is None
    assert told_of([], "github", None) is told_of({}, "jira", None) is None


def test_what_sluice_refuses_is_said(apis: SourceApis, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    apis.lists = github_lists(commits=1)
    monkeypatch.setenv("SLUICE_INGEST_SECRET", "another-secret-than-that")
    with pytest.raises(SystemExit, match="Sluice answers 401"):
        backfill.main(command(apis, "github"))
    with pytest.raises(SystemExit):
        backfill.main(["github", "--url", apis.url, "--source", "no-source", "--repository", "a/b"])


@pytest.mark.slow
def test_one_that_is_killed_goes_on_where_it_was(apis: SourceApis, tmp_path: Path) -> None:
    apis.lists = github_lists(commits=450, issues=30)
    apis.stuck.add("/commits?per_page=100&page=3")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'layers/sluice'}:{ROOT}",
        "SLUICE_INGEST_SECRET": SECRET,
        "GITHUB_TOKEN": "ghp_x",
    }
    arguments = [sys.executable, "-m", "tools.backfill", *command(apis, "github")]
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    assert apis.is_stuck.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(apis.items) == 230
    apis.stuck.clear()
    before = len(apis.asked)
    options: Any = {"cwd": tmp_path, "env": environment, "capture_output": True, "timeout": 60, "check": True}
    done = subprocess.run(arguments, **options, text=True)
    assert apis.asked[before] == "/repos/acme/app/commits?per_page=100&page=3"
    assert len({each["sha"] for each in apis.items if "sha" in each}) == 450
    assert len(apis.items) == 480
    assert "480 done" in done.stdout
    again = len(apis.asked)
    subprocess.run(arguments, **options)
    assert len(apis.asked) == again


@pytest.mark.slow
def test_a_hundred_thousand_commits_pass_without_anybody(waits: list[float]) -> None:
    """The API and the path are functions here, so that they take no time."""
    commits, sent = 100_000, 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        if request.method == "POST":
            sent += len(json.loads(request.content)["items"])
            return httpx.Response(202, json={"status": "queued"})
        if not request.url.path.endswith("/commits"):
            return httpx.Response(200, json=[])
        page = int(request.url.params.get("page", "1"))
        if page % 97 == 0 and len(waits) < page // 97:
            return httpx.Response(403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000005"})
        listed = [
            {"sha": f"{number:040x}", "commit": {"message": f"Commit {number}"}}
            for number in range((page - 1) * 100, page * 100)
        ]
        following = f'<https://api.github.com/repos/a/b/commits?per_page=100&page={page + 1}>; rel="next"'
        return httpx.Response(200, json=listed, headers={"link": following} if page * 100 < commits else {})

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        said: list[str] = []
        client = PatientClient(http, say=said.append)
        pages = backfill_sources.GitHubPages(client, "https://api.github.com", ["a/b"], None)
        sink = backfill.Sink(client, "https://sluice.example/v1/ingest/github/x", "github", SECRET)
        state = backfill.StateFile(Path("state.json"))
        assert backfill.run(pages, sink, state, lambda *_: None) == commits
    assert sent == commits
    assert len(waits) == 10
