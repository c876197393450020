"""What is signed is queued once; what is not leaves nothing behind."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from sluice.ingestion import receiving
from sluice.storage.queues import Queue
from tests.ingestion import Ingestion, now_ms, signature
from tests.payloads import github_payload, jira_event, jira_issue
from tests.stores import DiedError, die

ISSUE = "github:Codertocat/Hello-World#1"


def items() -> list[str]:
    found = boto3.client("dynamodb").scan(TableName=os.environ["INGESTION_TABLE"])["Items"]
    return sorted({each["collection"]["S"].partition("#")[0] for each in found})


def objects() -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=os.environ["FILES_BUCKET"], Prefix="ingest/")
    return [each["Key"] for each in found.get("Contents", [])]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha256=" + "0" * 10_000,
        "sha256=" + "é" * 64,
        "sha1=" + "0" * 40,
        "sha256=\x00",
    ],
)
@pytest.mark.parametrize("source_type", ["github", "jira"])
def test_what_is_not_signed_is_refused_and_leaves_nothing(
    ingestion: Ingestion, source_type: str, given: str | None
) -> None:
    source = ingestion.create(source_type)
    name = "X-Hub-Signature-256" if source_type == "github" else "X-Hub-Signature"
    headers = {name: given} if given is not None else {name: ""}
    answer = ingestion.send(source, github_payload("issues.opened"), "issues", headers=headers)
    assert (answer.status, answer.error["code"]) == (401, "invalid_signature")
    assert (items(), objects(), ingestion.messages()) == ([], [], [])


def test_a_source_s_secret_signs_for_no_other(ingestion: Ingestion) -> None:
    mine, other = ingestion.create(), ingestion.create()
    payload = github_payload("issues.opened")
    assert ingestion.send(other, payload, "issues", secret=mine["secret"]).status == 401
    unknown = {**mine, "path": "/v1/ingest/github/src_other.000000000000000000000000"}
    assert ingestion.send(unknown, payload, "issues").status == 401
    nonsense = {**mine, "path": "/v1/ingest/github/%2e%2e%00"}
    assert ingestion.send(nonsense, payload, "issues").status == 401
    of_jira = {**mine, "path": mine["path"].replace("github", "jira")}
    headers = {"X-Hub-Signature": signature(mine["secret"], json.dumps(payload))}
    assert ingestion.send(of_jira, payload, "issues", headers=headers).status == 401
    assert (items(), ingestion.messages()) == ([], [])


def test_a_changed_byte_is_noticed(ingestion: Ingestion) -> None:
    source, body = ingestion.create(), json.dumps(github_payload("issues.opened"))
    headers = {"X-Hub-Signature-256": signature(source["secret"], body)}
    assert ingestion.send(source, body + " ", "issues", headers=headers).status == 401


def test_text_beyond_ascii_is_signed_as_its_bytes(ingestion: Ingestion) -> None:
    source = ingestion.create()
    payload = github_payload("issues.opened")
    payload["issue"]["title"] = "Grüße 😀"
    assert ingestion.send(source, json.dumps(payload, ensure_ascii=False), "issues").status == 202
    ingestion.work()
    text = ingestion.text(ISSUE)
    assert text is not None
    assert "Grüße 😀" in text


def test_a_form_is_taken_as_json_is(ingestion: Ingestion) -> None:
    source = ingestion.create()
    body = "payload=" + quote(json.dumps(github_payload("issues.opened")))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ingestion.send(source, body, "issues", headers=headers).body["status"] == "queued"
    ingestion.work()
    assert ingestion.document(ISSUE) is not None


def test_a_delivery_that_comes_again_is_not_queued_again(ingestion: Ingestion) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    assert ingestion.send(source, payload, "issues").body["status"] == "queued"
    # Under another id, which is not signed.
    assert ingestion.send(source, payload, "issues").body["status"] == "duplicate"
    assert len(ingestion.messages()) == 1
    assert ingestion.coverage()["counts"] == {"duplicates": 1, "received": 1}


def test_the_same_delivery_twice_at_one_moment_is_one_document(ingestion: Ingestion) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ingestion.send(source, payload, "issues"), range(8)))
    assert {each.status for each in answers} == {202}
    messages = ingestion.messages()
    assert messages
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ingestion.hand, messages))
    assert ingestion.coverage()["documents"] == 1


def test_a_receiver_that_dies_before_the_queue_forgets_nothing(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    with monkeypatch.context() as patch:
        patch.setattr(Queue, "send", die)
        with pytest.raises(DiedError):
            ingestion.send(source, payload, "issues")
    assert ingestion.send(source, payload, "issues").body["status"] == "queued"


def test_jira_s_deliveries_are_of_now(ingestion: Ingestion) -> None:
    source = ingestion.create("jira")
    day_ms = 86_400_000
    for at, is_taken in [
        (now_ms(), True),
        (now_ms() - day_ms + 60_000, True),
        (now_ms() - day_ms - 60_000, False),
        (now_ms() + 300_000, True),
        (now_ms() + 3_600_000, False),
        (10**400, False),
        (-1, False),
    ]:
        answer = ingestion.send(source, jira_event(timestamp=at))
        assert (answer.status, answer.body["status"] == "queued") == (202, is_taken), at
    assert [kind for kind, _ in ingestion.problems()] == ["stale"] * 4


def test_events_of_no_document_are_ignored_and_counted(ingestion: Ingestion) -> None:
    source = ingestion.create()
    assert ingestion.send(source, {"zen": "Keep it logically awesome."}, "ping").body["status"] == "ignored"
    assert ingestion.send(source, {"action": "created"}, "star").body["status"] == "ignored"
    assert ingestion.messages() == []
    assert ingestion.coverage()["counts"] == {"ignored.ping": 1, "ignored.star": 1}
    jira = ingestion.create("jira")
    answer = ingestion.send(jira, {"webhookEvent": "sprint_started", "timestamp": now_ms()})
    assert answer.body == {"object": "ingest.event", "status": "ignored", "reason": "the event is of no document"}


@pytest.mark.parametrize(
    "body", ["", "x", "[]", "null", '{"webhookEvent": 5}', "{" * 100_000, '{"a": ' + "9" * 5_000 + "}", "\x00"]
)
def test_what_is_signed_and_not_understood_is_in_the_report(ingestion: Ingestion, body: str) -> None:
    source = ingestion.create("jira")
    answer = ingestion.send(source, body)
    assert (answer.status, answer.body["status"]) == (202, "ignored")
    assert [kind for kind, _ in ingestion.problems()] == ["not_understood"]


@pytest.mark.parametrize("body", ["", "x", "[]", "{}", "[" * 100_000, '{"repository": {"full_name": "no"}}'])
def test_what_github_signs_and_nobody_understands_is_in_the_report(ingestion: Ingestion, body: str) -> None:
    source = ingestion.create()
    assert ingestion.send(source, body, "issues").status == 202
    ingestion.work()
    assert [kind for kind, _ in ingestion.problems()] == ["not_understood"]


def test_a_body_too_large_for_the_queue_goes_by_the_bucket(ingestion: Ingestion) -> None:
    source = ingestion.create("jira")
    issue = jira_issue(description="Ünïcödé " * 40_000)
    payload = json.dumps(jira_event(timestamp=now_ms(), issue=issue), ensure_ascii=False)
    assert ingestion.send(source, payload).body["status"] == "queued"
    [message] = ingestion.messages()
    assert len(message) < 2_000
    [key] = objects()
    assert key.startswith(f"ingest/{source['id']}/")
    assert ingestion.hand(message)
    assert ingestion.document("jira:PROJ-12") is not None
    assert ingestion.problems() == [("trimmed", "jira:PROJ-12: description")]
    # Handed out twice, as the queue may.
    assert ingestion.hand(message)


def test_a_push_of_25_megabytes_is_trimmed_and_says_so(ingestion: Ingestion) -> None:
    source = ingestion.create()
    paths = [f"a/path/of/some/length/{number}.py" for number in range(150)]
    commits = [
        {"id": f"{number:040x}", "message": f"Commit {number}", "timestamp": "2026-11-26T10:00:00Z", "added": paths}
        for number in range(4_300)
    ]
    body = json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "acme/app"}, "commits": commits})
    assert 20_000_000 < len(body) <= receiving.MOST_BODY_BYTES
    assert ingestion.send(source, body, "push").body["status"] == "queued"
    [message] = ingestion.messages()
    assert ingestion.hand(message)
    parts = ingestion.messages()
    told = [len(json.loads(json.loads(each)["body"])["commits"]) for each in parts]
    assert (sum(told), max(told)) == (2_048, 25)
    assert max(len(each) for each in parts) < 250_000
    assert ingestion.problems() == [("trimmed", "the oldest 2252 of 4300 commits")]
    assert ingestion.hand(parts[0])
    assert ingestion.coverage()["kinds"]["commit"]["documents"] == told[0]


def test_more_than_github_sends_is_refused(ingestion: Ingestion) -> None:
    source = ingestion.create()
    answer = ingestion.send(source, "x" * (receiving.MOST_BODY_BYTES + 1), "push")
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


def test_what_is_signed_with_an_exchanged_root_secret_is_refused(ingestion: Ingestion, aws: Any) -> None:
    source = ingestion.create()
    secret = os.environ["WEBHOOK_SECRET"]
    aws.secretsmanager.put_secret_value(SecretId=secret, SecretString='{"for": "webhooks", "secret": "another"}')
    ingestion.restart()
    assert ingestion.send(source, github_payload("issues.opened"), "issues").status == 401


def test_no_text_of_an_event_is_in_the_log(ingestion: Ingestion, capsys: pytest.CaptureFixture[str]) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    ingestion.take(source, payload, "issues")
    ingestion.send(source, payload, "issues", secret="another")
    written = capsys.readouterr()
    for private in (payload["issue"]["title"], source["secret"]):
        assert private not in written.out + written.err
