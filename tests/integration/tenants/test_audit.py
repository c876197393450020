"""The audit log: who did what, as admins and operators read it."""

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from functions.keys.app import ROUTES
from sluice.errors import StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.tenants.audit import Act, Action, Change
from sluice.tenants.audit_log import AuditLog, AuditQuery
from tests.conftest import Aws
from tests.rest_function import RestFunction
from tests.tenants import ADMIN, key_id

SECOND_MS = 1000


@pytest.fixture
def keys(aws: Aws) -> RestFunction:
    return RestFunction(ROUTES, aws.admin_key)


@pytest.fixture
def log(aws: Aws) -> AuditLog:
    """A log whose records are a second apart."""
    seconds = count(1)
    return AuditLog(aws.table("DIRECTORY_TABLE"), aws.client, now=lambda: float(next(seconds)))


def record(log: AuditLog, action: Action = Action.KEY_CHANGED, target: str = "k", tenant: str | None = "acme") -> None:
    with log.recording(Act(action, target, tenant), ADMIN):
        pass


def listed(keys: RestFunction, api_key: str | None = None, **query: str) -> Any:
    answer = keys.send("GET /v1/audit", query=query, api_key=api_key)
    assert answer.status == 200, answer.raw
    return answer.body["data"]


def test_a_record_says_who_did_what_to_whom_when_and_what_it_changed(keys: RestFunction) -> None:
    keys.send("POST /v1/tenants", {"id": "acme", "name": "ACME", "budget_usd_per_month": 2})
    changed = keys.send("PATCH /v1/tenants/acme", {"budget_usd_per_month": 5.5, "cache_policy": "off"})
    [last, first] = listed(keys)
    assert first["action"] == "tenant.created"
    assert first["changes"]["budget_usd_per_month"] == {"before": None, "after": 2}
    assert last.pop("created_at") >= first["created_at"] > 1_700_000_000
    assert len(last.pop("id")) == 30
    assert last == {
        "object": "audit.record",
        "action": "tenant.changed",
        "target": "acme",
        "tenant": "acme",
        "actor": {"key": "admin", "tenant": "admin", "role": "admin"},
        "request_id": changed.headers["x-sluice-request-id"][0],
        "outcome": "done",
        "changes": {
            "budget_usd_per_month": {"before": 2, "after": 5.5},
            "cache_policy": {"before": None, "after": "off"},
        },
    }


def test_each_act_on_a_key_has_a_record_without_its_secret(keys: RestFunction, aws: Aws) -> None:
    keys.send("POST /v1/tenants", {"id": "acme", "name": "ACME"})
    made = keys.send("POST /v1/keys", {"tenant": "acme", "name": "app", "role": "operator"}).body
    keys.send(f"PATCH /v1/keys/{made['id']}", {"limits": {"requests_per_day": 5}})
    keys.send(f"DELETE /v1/keys/{made['id']}")
    keys.send(f"DELETE /v1/keys/{made['id']}")
    records = [each for each in listed(keys) if each["target"] == made["id"]]
    assert [each["action"] for each in records] == ["key.revoked", "key.changed", "key.created"]
    assert records[1]["changes"] == {"limits.requests_per_day": {"before": None, "after": 5}}
    assert records[2]["changes"]["role"] == {"before": None, "after": "operator"}
    audited = json.dumps([item for item in aws.items("DIRECTORY_TABLE") if "audit" in item["owner"]["S"]])
    assert "hash" not in audited
    assert made["api_key"].rpartition("-")[2] not in audited


def test_an_operator_sees_its_tenant_s_records_and_an_admin_all(keys: RestFunction, log: AuditLog) -> None:
    for tenant in ("acme", "zoo"):
        keys.tenant(tenant)
    operator = keys.key("acme", role="operator")
    record(log, tenant=None)
    own = listed(keys, operator)
    assert {each["tenant"] for each in own} == {"acme"}
    assert listed(keys, operator, tenant="acme") == own == listed(keys, tenant="acme")
    assert {each["tenant"] for each in listed(keys)} == {"acme", "zoo", None}
    assert keys.send("GET /v1/audit", query={"tenant": "zoo"}, api_key=operator).status == 404
    # What an operator did is its tenant's, and it sees who it was.
    keys.send("POST /v1/keys", {"tenant": "acme", "name": "x"}, api_key=operator)
    assert listed(keys, tenant="acme")[0]["actor"] == {
        "key": key_id(operator),
        "tenant": "acme",
        "role": "operator",
    }


def test_records_are_filtered_by_action_actor_and_time(keys: RestFunction, log: AuditLog) -> None:
    for action in (Action.KEY_CHANGED, Action.KEY_REVOKED, Action.KEY_CHANGED):
        record(log, action)
    assert [each["created_at"] for each in listed(keys)] == [3, 2, 1]
    assert [each["created_at"] for each in listed(keys, action="key.changed")] == [3, 1]
    assert len(listed(keys, actor="admin")) == 3
    assert listed(keys, actor="somebody") == []
    assert [each["created_at"] for each in listed(keys, **{"from": "2"})] == [3, 2]
    assert [each["created_at"] for each in listed(keys, **{"from": "2", "to": "2"})] == [2]
    noon = datetime.fromtimestamp(2, UTC).isoformat()
    assert [each["created_at"] for each in listed(keys, to=noon)] == [2, 1]
    assert listed(keys, **{"from": "2100-01-01T00:00:00Z"}) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_hold_every_record_once_the_latest_first(keys: RestFunction, log: AuditLog, limit: int) -> None:
    for number in range(7):
        record(log, Action.KEY_REVOKED if number % 3 else Action.KEY_CHANGED)
    for wanted, query in (([7, 6, 5, 4, 3, 2, 1], {}), ([7, 4, 1], {"action": "key.changed"})):
        seen: list[int] = []
        page: dict[str, str] = {}
        for _ in range(10):
            answer = keys.send("GET /v1/audit", query={"limit": str(limit), **query, **page}).body
            seen += [each["created_at"] for each in answer["data"]]
            assert answer["has_more"] == (answer["next_page"] is not None)
            if not answer["has_more"]:
                break
            page = {"page": answer["next_page"]}
        assert seen == wanted


def test_a_page_from_outside_the_times_asked_for_is_no_error(keys: RestFunction, log: AuditLog) -> None:
    for _ in range(3):
        record(log)
    early, late = "0000000000001-0123456789abcdef", "9000000000000-0123456789abcdef"
    assert [each["created_at"] for each in listed(keys, page=late, to="2")] == [2, 1]
    assert listed(keys, page=early, **{"from": "2"}) == []
    assert listed(keys, page=early) == []


def test_a_filter_that_finds_little_reads_only_so_much_at_a_time(
    keys: RestFunction, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.tenants.audit_log._PAGE", 2)
    monkeypatch.setattr("sluice.tenants.audit_log._MOST_PAGES", 2)
    record(log, Action.KEY_REVOKED)
    for _ in range(6):
        record(log)
    first = log.page(AuditQuery(action=Action.KEY_REVOKED), page=None, limit=5)
    assert first.records == ()
    assert first.next_page is not None
    second = log.page(AuditQuery(action=Action.KEY_REVOKED), page=first.next_page, limit=5)
    assert [each.at_ms for each in second.records] == [SECOND_MS]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"tenant": "A"}, "tenant"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-26T01:00:00"}, "from"),
        ({"actor": "a#b"}, "actor"),
        ({"actor": "a\n"}, "actor"),
        ({"action": "key.stolen"}, "action"),
        ({"page": "1"}, "page"),
        ({"page": "1234567890123-0123456789abcdef\n"}, "page"),
        ({"limit": "101"}, "limit"),
        ({"target": "x"}, "target"),
    ],
)
def test_a_wrong_query_is_refused_at_its_field(keys: RestFunction, query: dict[str, str], param: str) -> None:
    answer = keys.send("GET /v1/audit", query=query)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_an_act_elsewhere_is_recorded_before_it_begins_and_with_its_end(keys: RestFunction, log: AuditLog) -> None:
    act = Act(Action.KEY_CHANGED, "k", "acme")
    with log.recording(act, ADMIN) as opened:
        assert [each["outcome"] for each in listed(keys)] == ["begun"]
        opened.changes["conversations"] = Change(3, 0)
    assert [(each["outcome"], each["changes"]) for each in listed(keys)] == [
        ("done", {"conversations": {"before": 3, "after": 0}})
    ]
    with pytest.raises(ValueError, match="broke"), log.recording(act, ADMIN):
        raise ValueError("broke")
    for query in ({}, {"tenant": "acme"}):
        assert [each["outcome"] for each in listed(keys, **query)] == ["failed", "done"]


def test_an_act_elsewhere_that_can_t_be_recorded_does_not_begin(aws: Aws) -> None:
    log = AuditLog("no-such-table", aws.client)
    with pytest.raises(StorageUnavailableError), log.recording(Act(Action.KEY_CHANGED, "k", None), ADMIN):
        pytest.fail("it began")


def test_an_act_stands_whose_end_can_t_be_recorded(
    keys: RestFunction, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StorageUnavailableError("DynamoDB is away")

    with monkeypatch.context() as patch, log.recording(Act(Action.KEY_CHANGED, "k", None), ADMIN):
        patch.setattr(DynamoDB, "call", fail)
    assert [each["outcome"] for each in listed(keys)] == ["begun"]


def test_a_very_long_value_is_kept_by_its_digest(keys: RestFunction) -> None:
    keys.send("POST /v1/tenants", {"id": "acme", "name": "ACME"})
    fallbacks = {f"model-{number}": ["x" * 200] * 5 for number in range(50)}
    assert keys.send("PATCH /v1/tenants/acme", {"fallbacks": fallbacks}).status == 200
    after = listed(keys)[0]["changes"]["fallbacks"]["after"]
    assert after.keys() == {"bytes", "sha256"}
    assert after["bytes"] > 50_000
