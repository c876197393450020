"""Sources are their tenant's, and their secrets are shown once."""

import json

import pytest

from sluice.ingestion import source_store
from tests.conftest import Aws
from tests.ingestion import Ingestion
from tests.payloads import github_payload
from tests.tenants import make_key, make_tenant

EVENT = "issues"


def queued(ingestion: Ingestion, source: dict[str, str], secret: str) -> int:
    return ingestion.send(source, github_payload("issues.opened"), EVENT, secret=secret).status


def stranger(ingestion: Ingestion) -> str:
    make_tenant(ingestion.operator.app, "other")
    return make_key(ingestion.operator.app, "other", role="operator")


def test_a_source_s_secret_is_shown_once_and_kept_nowhere_in_the_clear(ingestion: Ingestion, aws: Aws) -> None:
    made = ingestion.create()
    assert made["path"] == f"/v1/ingest/github/{made['id']}"
    assert len(made["secret"]) == 64
    shown = ingestion.operator.send(f"GET /v1/ingest/sources/{made['id']}").body
    assert "secret" not in shown
    assert shown == {key: value for key, value in made.items() if key != "secret"}
    assert ingestion.operator.send("GET /v1/ingest/sources").body == {"object": "list", "data": [shown]}
    items = aws.dynamodb.scan(TableName=aws.variables["DIRECTORY_TABLE"])["Items"]
    assert made["secret"] not in json.dumps(items, default=str)


def test_a_secret_may_be_given(ingestion: Ingestion) -> None:
    made = ingestion.create(secret="a-secret-of-our-own")
    assert made["secret"] == "a-secret-of-our-own"
    assert queued(ingestion, made, "a-secret-of-our-own") == 202
    for bad in ("short", "with blanks in it, and long enough", "x" * 257):
        answer = ingestion.operator.send(
            "POST /v1/ingest/sources",
            {"type": "github", "name": "x", "vector_store_id": ingestion.knowledge.store.id, "secret": bad},
        )
        assert (answer.status, answer.error["param"]) == (400, "secret")
        assert bad not in answer.raw


def test_a_rotated_secret_is_taken_beside_the_new_one_for_a_day(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ingestion.create()
    path = f"POST /v1/ingest/sources/{made['id']}/rotate_secret"
    for _ in range(2):  # again, as who has not had the answer does
        rotated = ingestion.operator.send(path, {"keep_old_secret_active_for_24_hours": True}).body
    assert rotated["previous_secret_until"] is not None
    payload = github_payload("issues.opened")
    assert ingestion.send(made, payload, EVENT, secret=rotated["secret"]).status == 202
    assert ingestion.send(made, payload, EVENT, secret=made["secret"]).status == 202
    monkeypatch.setattr(source_store, "OVERLAP_S", 0)
    again = ingestion.operator.send(path, {"keep_old_secret_active_for_24_hours": True}).body
    assert ingestion.send(made, payload, EVENT, secret=rotated["secret"]).status == 401
    last = ingestion.operator.send(path, {}).body
    assert ingestion.send(made, payload, EVENT, secret=again["secret"]).status == 401
    assert ingestion.send(made, payload, EVENT, secret=last["secret"]).status == 202


def test_a_source_is_changed_and_has_the_rights_of_who_changed_it(ingestion: Ingestion) -> None:
    made = ingestion.create()
    other_key = ingestion.operator.key(role="operator")
    changed = ingestion.operator.send(
        f"POST /v1/ingest/sources/{made['id']}",
        {"name": "Another name", "options": {"repositories": ["acme/*"]}, "enabled": False},
        api_key=other_key,
    ).body
    assert changed["name"] == "Another name"
    assert changed["options"] == {"projects": [], "custom_fields": [], "repositories": ["acme/*"]}
    assert changed["api_key_id"] != made["api_key_id"]
    assert queued(ingestion, made, made["secret"]) == 202
    assert ingestion.messages() == []
    assert ingestion.coverage()["counts"] == {"disabled": 1}


def test_another_tenant_s_store_or_source_is_not_there(ingestion: Ingestion) -> None:
    made, key = ingestion.create(), stranger(ingestion)
    asked = {"type": "jira", "name": "x", "vector_store_id": ingestion.knowledge.store.id}
    answer = ingestion.operator.send("POST /v1/ingest/sources", asked, api_key=key)
    assert (answer.status, answer.error["param"]) == (404, "vector_store_id")
    path = f"/v1/ingest/sources/{made['id']}"
    assert ingestion.operator.send(f"GET {path}", api_key=key).status == 404
    assert ingestion.operator.send(f"POST {path}", {"name": "mine"}, api_key=key).status == 404
    assert ingestion.operator.send(f"POST {path}/rotate_secret", {}, api_key=key).status == 404
    assert ingestion.operator.send(f"DELETE {path}", api_key=key).status == 404
    assert (
        ingestion.operator.send("GET /v1/ingest/coverage", query={"source_id": made["id"]}, api_key=key).status == 404
    )
    assert ingestion.operator.send("GET /v1/ingest/coverage", api_key=key).body["sources"] == []
    store = ingestion.knowledge.new_store("other")
    moved = ingestion.operator.send(f"POST {path}", {"vector_store_id": store.id})
    assert moved.status == 404


def test_the_admin_key_makes_no_source(ingestion: Ingestion, aws: Aws) -> None:
    asked = {"type": "jira", "name": "x", "vector_store_id": ingestion.knowledge.store.id}
    assert ingestion.operator.send("POST /v1/ingest/sources", asked, api_key=aws.admin_key).status == 400


def test_a_deleted_source_is_refused_and_what_was_said_of_its_documents_is_forgotten(ingestion: Ingestion) -> None:
    made = ingestion.create()
    ingestion.take(made, github_payload("issues.opened"), EVENT)
    assert [each.partition("/")[2] for each in ingestion.contents()] == ["github:Codertocat/Hello-World#1"]
    assert ingestion.operator.send(f"DELETE /v1/ingest/sources/{made['id']}").body["deleted"] is True
    assert queued(ingestion, made, made["secret"]) == 401
    assert ingestion.work() == 1
    assert ingestion.contents() == []
    assert ingestion.document("github:Codertocat/Hello-World#1") is not None
    assert ingestion.operator.send(f"GET /v1/ingest/sources/{made['id']}").status == 404


def test_what_another_source_needs_is_not_forgotten(ingestion: Ingestion) -> None:
    made, _ = ingestion.create(), ingestion.create()
    ingestion.take(made, github_payload("issues.opened"), EVENT)
    ingestion.operator.send(f"DELETE /v1/ingest/sources/{made['id']}")
    assert ingestion.work() == 1
    assert [each.partition("/")[2] for each in ingestion.contents()] == ["github:Codertocat/Hello-World#1"]


def test_a_deleted_tenant_has_no_sources(ingestion: Ingestion, aws: Aws) -> None:
    made = ingestion.create()
    ingestion.take(made, github_payload("issues.opened"), EVENT)
    assert ingestion.operator.send("DELETE /v1/tenants/acme", api_key=aws.admin_key).status == 200
    assert queued(ingestion, made, made["secret"]) == 401
    ingestion.work()
    assert ingestion.contents() == []


def test_a_tenant_has_twenty_sources_at_most(ingestion: Ingestion) -> None:
    for _ in range(20):
        ingestion.create()
    asked = {"type": "jira", "name": "x", "vector_store_id": ingestion.knowledge.store.id}
    assert ingestion.operator.send("POST /v1/ingest/sources", asked).status == 409


def test_changes_are_in_the_audit_log_without_secrets(ingestion: Ingestion) -> None:
    made = ingestion.create(secret="a-secret-of-our-own")
    ingestion.operator.send(f"POST /v1/ingest/sources/{made['id']}/rotate_secret", {})
    ingestion.operator.send(f"DELETE /v1/ingest/sources/{made['id']}")
    answer = ingestion.operator.send("GET /v1/audit")
    actions = [each["action"] for each in answer.body["data"]]
    assert actions[:3] == ["ingest_source.deleted", "ingest_source.rotated", "ingest_source.created"]
    assert "a-secret-of-our-own" not in answer.raw
    assert "sealed" not in answer.raw
