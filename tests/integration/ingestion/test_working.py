"""Events become documents, whatever order they come in, whoever dies over them, and with vectors or without."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.ingestion.contents import Contents
from sluice.knowledge.embedder import Embedder
from sluice.knowledge.index import DynamoDBVectorIndex
from sluice.knowledge.writer import DocumentWriter
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.ingestion import Ingestion, now_ms
from tests.payloads import github_payload, jira_comment, jira_comment_event, jira_event, jira_issue
from tests.stores import DiedError, die, embeds
from tests.tenants import key_id

ISSUE, PULL = "github:Codertocat/Hello-World#1", "github:Codertocat/Hello-World#2"
SUMMARY = "Title: Spelling error in the README file"


def test_an_issue_is_found_by_its_words(ingestion: Ingestion) -> None:
    ingestion.take(ingestion.create(), github_payload("issues.opened"), "issues")
    found = ingestion.document(ISSUE)
    assert found is not None
    assert (found.kind, found.title) == ("issue", "Spelling error in the README file")
    assert found.url == "https://github.com/Codertocat/Hello-World/issues/1"
    assert found.attributes["repository"] == "Codertocat/Hello-World"
    text = ingestion.text(ISSUE)
    assert text is not None
    assert text.startswith(SUMMARY)
    assert ingestion.knowledge.found(text) == [text]


def test_unchanged_text_costs_nothing(ingestion: Ingestion, fake: FakeProvider) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    ingestion.take(source, payload, "issues")
    before = len(fake.requests())
    again = {**payload, "action": "assigned", "issue": {**payload["issue"], "updated_at": "2030-01-01T00:00:00Z"}}
    ingestion.take(source, again, "issues")
    assert len(fake.requests()) == before
    assert ingestion.coverage()["counts"] == {"received": 2, "unchanged": 1, "written": 1}


EVENTS = [
    ("pull_request", "pull_request.opened"),
    ("pull_request", "pull_request.closed"),
    ("pull_request_review_comment", "pull_request_review_comment.created"),
    ("pull_request_review_comment", "pull_request_review_comment.deleted"),
]


def test_events_end_the_same_in_any_order(ingestion: Ingestion) -> None:
    source = ingestion.create()
    for order in itertools.islice(itertools.permutations(EVENTS), 0, None, 5):
        repository = "-".join(str(EVENTS.index(each)) for each in order)
        for event, name in order:
            ingestion.send(source, json.dumps(github_payload(name)).replace("Hello-World", repository), event)
        ingestion.work()
        text = ingestion.text(f"github:Codertocat/{repository}#2")
        assert text is not None
        assert "State: closed" in text
        assert "Review" not in text


def test_messages_that_are_worked_on_at_once_end_the_same(ingestion: Ingestion) -> None:
    source = ingestion.create()
    payload = github_payload("issue_comment.created")
    for number in range(6):
        payload["comment"] |= {
            "id": number + 1,
            "body": f"remark {number}",
            "created_at": f"2030-01-01T00:00:0{number}Z",
        }
        ingestion.send(source, payload, "issue_comment")
    messages = ingestion.messages()
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(ingestion.hand, [*messages, *messages]))
    text = ingestion.text(ISSUE)
    assert text is not None
    assert "Comment: remark 3 | Comment: remark 4 | Comment: remark 5" in text
    assert ingestion.knowledge.found(text)[0] == text


def test_a_deletion_comes_before_what_it_deletes(ingestion: Ingestion) -> None:
    source = ingestion.create("jira")
    ingestion.take(source, jira_event("jira:issue_deleted", timestamp=now_ms()))
    ingestion.take(source, jira_event(timestamp=now_ms()))
    ingestion.take(source, jira_comment_event("comment_created", jira_comment("1", "late"), timestamp=now_ms()))
    assert ingestion.document("jira:PROJ-12") is None


def test_a_deleted_issue_goes_and_another_of_its_key_comes(ingestion: Ingestion) -> None:
    source = ingestion.create("jira")
    ingestion.take(source, jira_event(timestamp=now_ms()))
    ingestion.take(source, jira_event("jira:issue_deleted", timestamp=now_ms()))
    assert ingestion.document("jira:PROJ-12") is None
    later = jira_issue(updated="2030-01-01T00:00:00.000+0000", summary="Moved here")
    ingestion.take(source, jira_event(timestamp=now_ms(), issue=later))
    text = ingestion.text("jira:PROJ-12")
    assert text is not None
    assert text.startswith("Title: Moved here")


def test_comments_of_jira_s_cloud_join_their_issue(ingestion: Ingestion) -> None:
    source = ingestion.create("jira")
    created = jira_comment_event("comment_created", jira_comment("7", "Use water."), timestamp=now_ms())
    ingestion.take(source, created)
    ingestion.take(source, jira_event(timestamp=now_ms()))
    text = ingestion.text("jira:PROJ-12")
    assert text is not None
    assert "Description: It burns when I print more than ten pages." in text
    assert "Comment: Use water." in text
    ingestion.take(source, {**created, "webhookEvent": "comment_deleted", "timestamp": now_ms()})
    text = ingestion.text("jira:PROJ-12")
    assert text is not None
    assert "Comment" not in text


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (Contents, "apply"),
        (DocumentWriter, "write_all"),
        (Embedder, "embed"),
        (DynamoDBVectorIndex, "put"),
        (DocumentWriter, "_switch"),
    ],
)
def test_a_worker_that_dies_anywhere_leaves_work_for_another(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    source = ingestion.create()
    ingestion.send(source, github_payload("issues.opened"), "issues")
    [message] = ingestion.messages()
    with monkeypatch.context() as patch:
        patch.setattr(where, name, die)
        with pytest.raises(DiedError):
            ingestion.hand(message)
    ingestion.restart()
    assert ingestion.hand(message, receives=2)
    text = ingestion.text(ISSUE)
    assert text is not None
    assert ingestion.knowledge.found(text)[0] == text


def test_texts_are_kept_without_a_provider_and_embedded_later(
    ingestion: Ingestion, aws: Aws, fake: FakeProvider
) -> None:

    aws.set_credentials()
    ingestion.restart()
    source = ingestion.create()
    ingestion.take(source, github_payload("issues.opened"), "issues")
    kind = ingestion.coverage()["kinds"]["issue"]
    assert (kind["documents"], kind["with_vectors"], kind["without_vectors"]) == (1, 0, 1)
    [reason] = kind["reasons"]
    assert reason
    embeds(aws, fake)
    ingestion.knowledge.restart()
    found = ingestion.document(ISSUE)
    assert found is not None
    ingestion.knowledge.app.document_writer.repair(
        ingestion.knowledge.principal, ingestion.knowledge.store.id, found.key
    )
    kind = ingestion.coverage()["kinds"]["issue"]
    assert (kind["with_vectors"], kind["without_vectors"], kind["reasons"]) == (1, 0, {})


def test_what_fails_for_good_is_in_the_report_and_is_taken_when_it_is_sent_again(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    ingestion.send(source, payload, "issues")
    [message] = ingestion.messages()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("with a text of the event")

    with monkeypatch.context() as patch:
        patch.setattr(Contents, "apply", fail)
        for receives in range(1, 6):
            assert not ingestion.hand(message, receives)
    assert ingestion.problems() == [("dead_lettered", "RuntimeError")]
    assert ingestion.send(source, payload, "issues").body["status"] == "queued"
    ingestion.work()
    assert ingestion.document(ISSUE) is not None


def test_who_dies_at_the_last_try_is_in_the_report(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ingestion.create()
    ingestion.send(source, github_payload("issues.opened"), "issues")
    [message] = ingestion.messages()
    with monkeypatch.context() as patch:
        patch.setattr(Contents, "apply", die)
        with pytest.raises(DiedError):
            ingestion.hand(message, 5)
    assert ingestion.problems() == [("dead_lettered", "whoever worked on it died")]
    assert ingestion.hand(message, 5)
    assert ingestion.problems() == []


def test_a_revoked_key_stops_its_sources_until_another_takes_them_over(ingestion: Ingestion, aws: Aws) -> None:
    source = ingestion.create()
    another = ingestion.operator.key(role="operator")
    revoked = ingestion.operator.send(f"DELETE /v1/keys/{key_id(ingestion.operator.api_key)}", api_key=aws.admin_key)
    assert revoked.status == 200
    ingestion.restart()
    ingestion.send(source, github_payload("issues.opened"), "issues")
    [message] = ingestion.messages()
    assert not ingestion.hand(message, 5)
    ingestion.operator.api_key = another
    [(kind, reason)] = ingestion.problems()
    assert kind == "dead_lettered"
    assert "revoked" in reason
    assert ingestion.operator.send(f"POST /v1/ingest/sources/{source['id']}", {}).status == 200
    assert ingestion.hand(message)
    assert ingestion.document(ISSUE) is not None


def test_a_store_that_is_gone_is_in_the_report(ingestion: Ingestion) -> None:
    source = ingestion.create()
    ingestion.knowledge.app.stores.mark_deleted(ingestion.knowledge.store)
    ingestion.take(source, github_payload("issues.opened"), "issues")
    [(kind, reason)] = ingestion.problems()
    assert kind == "refused"
    assert "vector store" in reason
    assert ingestion.coverage()["has_vector_store"] is False
    assert ingestion.contents() == []


def test_a_title_or_a_state_of_any_length_is_taken(ingestion: Ingestion) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    payload["issue"] |= {"title": "A title " * 10_000, "state": "x" * 10_000, "user": {"login": "y" * 10_000}}
    ingestion.take(source, payload, "issues")
    found = ingestion.document(ISSUE)
    assert found is not None
    assert len(found.title) <= 500


def test_what_is_as_long_and_as_odd_as_can_be_is_kept(ingestion: Ingestion) -> None:
    source = ingestion.create("jira")
    letters = "".join(chr(0x20000 + number * 7919 % 42_000) for number in range(25_000))
    fields: dict[str, Any] = {f"customfield_{number}": letters for number in range(30)}
    comments = [jira_comment(str(number), letters[number:]) for number in range(20)]
    issue = jira_issue(description=letters, comment={"comments": comments, "total": 20}, **fields)
    ingestion.take(source, jira_event(timestamp=now_ms(), issue=issue))
    assert ingestion.document("jira:PROJ-12") is not None
    assert [kind for kind, _ in ingestion.problems()] == ["trimmed"]


def test_a_backfill_that_is_run_again_is_taken_again(ingestion: Ingestion) -> None:
    source = ingestion.create()
    payload = {"repository": "acme/app", "items": [github_payload("issues.opened")["issue"]]}
    for _ in range(2):
        assert ingestion.send(source, payload, "backfill:issues").body["status"] == "queued"
        ingestion.work()
    assert ingestion.coverage()["counts"] == {"received": 2, "unchanged": 1, "written": 1}


def test_what_came_before_the_store_was_another_is_taken_again(ingestion: Ingestion) -> None:
    source, payload = ingestion.create(), github_payload("issues.opened")
    ingestion.take(source, payload, "issues")
    other = ingestion.knowledge.new_store()
    asked = {"vector_store_id": other.id}
    assert ingestion.operator.send(f"POST /v1/ingest/sources/{source['id']}", asked).status == 200
    assert ingestion.send(source, payload, "issues").body["status"] == "queued"
    ingestion.work()
    assert ingestion.coverage()["kinds"]["issue"]["documents"] == 1
    assert [each.partition("/")[0] for each in ingestion.contents()] == [f"contents#acme#{other.id}"]


def test_options_keep_out_what_is_not_wanted(ingestion: Ingestion) -> None:
    source = ingestion.create(options={"repositories": ["acme/*"]})
    ingestion.take(source, github_payload("issues.opened"), "issues")
    assert ingestion.document(ISSUE) is None
    assert ingestion.coverage()["counts"] == {"ignored.a repository that is not taken": 1, "received": 1}


def test_coverage_is_by_source_and_kind(ingestion: Ingestion) -> None:
    one, two = ingestion.create(), ingestion.create("jira")
    ingestion.take(one, github_payload("push"), "push")
    ingestion.take(one, github_payload("issues.opened"), "issues")
    ingestion.take(one, github_payload("pull_request.opened"), "pull_request")
    ingestion.take(two, jira_event(timestamp=now_ms()))
    answer = ingestion.operator.send("GET /v1/ingest/coverage").body
    assert answer["is_complete"] is True
    found = {each["source_id"]: each["kinds"] for each in answer["sources"]}
    counted = {source: {kind: each["documents"] for kind, each in kinds.items()} for source, kinds in found.items()}
    assert counted == {one["id"]: {"commit": 1, "issue": 1, "pull_request": 1}, two["id"]: {"jira_issue": 1}}
    assert all(each["last_event_at"] for each in answer["sources"])
    only = ingestion.operator.send("GET /v1/ingest/coverage", query={"source_id": two["id"]}).body
    assert [each["source_id"] for each in only["sources"]] == [two["id"]]
