"""Tenants' own versions of tasks: stored, activated, compared."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from sluice.catalog.reader import SHARED
from sluice.composition import App
from sluice.errors import ConflictError
from sluice.tasks.task import TaskFile, read_task
from sluice.tasks.versions import Versions
from sluice.tenants.audit import Change
from sluice.tenants.audit_log import AuditLog, AuditQuery
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.fakes.client import FakeProvider
from tests.tasks import CASE, SUM, Tasks, definition
from tests.tenants import ADMIN, key_id


def test_a_version_of_the_tenant_s_own_answers_once_it_is_activated(tasks: Tasks, fake: FakeProvider) -> None:
    inputs = {"issue_details": "Disk is full."}
    made = tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    assert (made.status, made.body["version"]) == (201, "1")
    assert tasks.send("GET /v1/tasks/remediation").body["version"] == "shared"
    assert tasks.send("POST /v1/tasks/remediation/versions/1/activate").body["active"] == "1"
    answer = tasks.run("remediation", inputs)
    assert (answer.status, answer.body["version"]) == (200, "1")
    assert fake.last_body()["messages"][0]["content"].startswith("Be kind.")
    listed = tasks.send("GET /v1/tasks/remediation/versions").body
    assert [each["version"] for each in listed["data"]] == ["1"]
    assert listed["traffic"]["active"] == "1"
    shown = tasks.send("GET /v1/tasks/remediation/versions/1").body["definition"]
    assert shown == definition()
    again = tasks.send("POST /v1/tasks/remediation/versions", {"definition": shown})
    assert again.body["version"] == "2"
    tasks.send("POST /v1/tasks/remediation/versions/shared/activate")
    assert tasks.send("GET /v1/tasks/remediation").body["version"] == "shared"


def test_a_tenant_s_versions_are_its_own(tasks: Tasks) -> None:
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    tasks.send("POST /v1/tasks/remediation/versions/1/activate")
    other = tasks.tenant("other")
    assert tasks.send("GET /v1/tasks/remediation/versions", api_key=other).body["data"] == []
    assert tasks.send("GET /v1/tasks/remediation/versions/1", api_key=other).status == 404
    assert tasks.send("GET /v1/tasks/remediation", api_key=other).body["version"] == "shared"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"user": "{{ secret }}"}, "definition.user"),
        ({"user": "{% for x in issue_details %}{% endfor %}"}, "definition.user"),
        ({"system": "{{ ''.__class__ }}"}, "definition.system"),
        ({"system": "{% if x"}, "definition.system"),
        (
            {"inputs": {"a": {"type": "string", "description": "A.", "required": True}}},
            "definition.inputs.a.max_length",
        ),
        ({"inputs": {"a": {"type": "colour"}}}, "definition.inputs.a"),
        ({"inputs": {"A!": {"type": "boolean", "description": "A.", "default": True}}}, "definition.inputs.A!"),
        ({"colour": "red"}, "definition.colour"),
        ({"output": {"format": "json", "schema": '{"type": "object", "pattern": 1}'}}, "definition.output.schema"),
        ({"output": {"format": "json", "schema": "{"}}, "definition.output"),
        ({"sampling": {"temperature": 9}}, "definition.sampling.temperature"),
    ],
)
def test_a_wrong_version_is_refused_at_its_field(tasks: Tasks, change: dict[str, Any], param: str) -> None:
    answer = tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition(**change)})
    assert answer.status == 400, answer.raw
    assert answer.error["param"].startswith(param), answer.raw
    assert tasks.send("GET /v1/tasks/remediation/versions").body["data"] == []


def test_a_version_may_not_change_what_a_task_s_code_reads(tasks: Tasks) -> None:
    answer = tasks.send("POST /v1/tasks/grade_feedback/versions", {"definition": definition()})
    assert (answer.status, answer.error["param"]) == (400, "definition.inputs")
    shared = tasks.send("GET /v1/tasks/grade_feedback").body["definition"]
    changed = {**shared, "system": "Grade it strictly."}
    assert tasks.send("POST /v1/tasks/grade_feedback/versions", {"definition": changed}).status == 201


def test_a_version_stored_before_its_task_s_code_read_more_still_answers(tasks: Tasks, fake: FakeProvider) -> None:
    """An upgrade has added an input since."""
    name = "test_case_generation"
    file = read_task(SHARED / "tasks" / f"{name}.toml").file
    inputs = {each: field for each, field in file.inputs.items() if each != "include_edge_cases"}
    older = {"inputs": inputs, "system": "Write test cases.", "user": "{{ problem_statement }}"}
    versions = Versions(tasks.app.settings.directory_table, tasks.app.audit_log, tasks.app.dynamodb)
    version = versions.create("acme", name, file.model_copy(update=older), ADMIN).version
    assert tasks.send(f"POST /v1/tasks/{name}/versions/{version}/activate").status == 200
    fake.configure(answer=json.dumps({"test_cases": [CASE]}))
    answer = tasks.run(name, {**SUM, "num_cases": 1, "include_edge_cases": False})
    assert (answer.status, answer.body["version"]) == (200, version), answer.raw


def test_two_versions_are_compared_at_a_split_that_holds(tasks: Tasks) -> None:
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition(system="Be brief.")})
    compared = tasks.send("POST /v1/tasks/remediation/compare", {"active": "1", "other": "2", "percent": 50})
    assert compared.body == {
        "object": "task.traffic",
        "task": "remediation",
        "active": "1",
        "other": "2",
        "percent": 50,
        "changed_by": key_id(tasks.api_key),
        "changed_at": compared.body["changed_at"],
    }
    answered = {
        number: [tasks.run("remediation", {"issue_details": f"Issue {number}"}).body["version"] for _ in range(2)]
        for number in range(12)
    }
    assert all(one == other for one, other in answered.values())
    assert {one for one, _ in answered.values()} == {"1", "2"}
    results = tasks.send("GET /v1/tasks/remediation/results").body["data"]
    assert {each["version"] for each in results} == {"1", "2"}
    assert sum(each["requests"] for each in results) == 24
    assert sum(each["cache_hits"] for each in results) == 12
    assert all(each["total_tokens"] > 0 and 0 <= each["mean_quality"] <= 1 for each in results)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"other": "1", "active": "1"}, 400, "other"),
        ({"other": "9"}, 404, "version"),
        ({"other": "x"}, 400, "other"),
        ({"other": "1", "percent": 100}, 400, "percent"),
        ({}, 400, "other"),
    ],
)
def test_a_wrong_comparison_is_refused(tasks: Tasks, body: object, status: int, param: str) -> None:
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    answer = tasks.send("POST /v1/tasks/remediation/compare", body)
    assert (answer.status, answer.error["param"]) == (status, param)


def test_who_stored_a_version_and_who_activated_it_is_kept_shown_and_recorded(tasks: Tasks) -> None:
    other = tasks.key("acme", role="operator")
    first, second = (key_id(key) for key in (tasks.api_key, other))
    made = tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    assert made.body["created_by"] == first
    tasks.send("POST /v1/tasks/remediation/versions/1/activate", api_key=other)
    listed = tasks.send("GET /v1/tasks/remediation/versions").body
    assert [each["created_by"] for each in listed["data"]] == [first]
    assert listed["traffic"]["changed_by"] == second
    assert listed["traffic"]["changed_at"] >= listed["data"][0]["created_at"]
    tasks.restart()
    assert tasks.send("GET /v1/tasks/remediation").body["traffic"] == listed["traffic"]
    tasks.send("POST /v1/tasks/remediation/compare", {"active": "1", "other": "shared", "percent": 20})
    [compared, activated, stored] = tasks.app.audit_log.page(AuditQuery(tenant="acme"), page=None, limit=3).records
    assert [each.act.action for each in (stored, activated)] == ["task_version.stored", "task_traffic.changed"]
    assert (stored.act.target, stored.actor_key) == ("remediation#1", first)
    assert (activated.act.target, activated.actor_key) == ("remediation", second)
    assert activated.act.changes == {"active": Change("shared", "1")}
    assert compared.act.changes == {"other": Change(None, "shared"), "percent": Change(0, 20)}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("versions", {"definition": definition()}),
        ("versions/1/activate", None),
        ("compare", {"active": "shared", "other": "1"}),
    ],
)
def test_a_caller_changes_nobody_s_prompts(tasks: Tasks, route: str, body: Any) -> None:
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    before = tasks.send("GET /v1/tasks/remediation/versions").body
    answer = tasks.send(f"POST /v1/tasks/remediation/{route}", body, api_key=tasks.key("acme"))
    assert (answer.status, answer.error["code"]) == (403, "insufficient_role")
    assert tasks.send("GET /v1/tasks/remediation/versions").body == before


def test_a_version_whose_record_can_t_be_written_is_not_stored_and_not_activated(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    before = tasks.send("GET /v1/tasks/remediation/versions").body
    writes = AuditLog.writes

    def impossible(self: AuditLog, *arguments: Any) -> Any:
        parts = writes(self, *arguments)
        for each in parts:
            each["Put"]["ConditionExpression"] = "attribute_exists(#partition)"
        return parts

    monkeypatch.setattr(AuditLog, "writes", impossible)
    assert tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()}).status == 409
    assert tasks.send("POST /v1/tasks/remediation/versions/1/activate").status == 409
    assert tasks.send("GET /v1/tasks/remediation/versions").body == before


@ON_BOTH_EMULATORS
def test_versions_stored_at_once_have_numbers_of_their_own(aws: Aws) -> None:
    versions = App.from_environment().task_library
    file = TaskFile.model_validate(definition())
    gate = Barrier(4)

    def store(_: int) -> str:
        gate.wait()
        try:
            return versions.store("acme", "remediation", file, ADMIN).version
        except ConflictError:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        numbers = [number for number in pool.map(store, range(4)) if number != "refused"]
    assert aws
    assert len(set(numbers)) == len(numbers) > 0
    assert {each.version for each in versions.versions("acme", "remediation")} == set(numbers)


def test_what_sluice_0_1_stored_answers_still_and_is_taken_over_by_the_first_change(tasks: Tasks, aws: Aws) -> None:
    for text in ("Be kind.", "Be brief."):
        tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition(system=text)})
    tasks.send("POST /v1/tasks/remediation/compare", {"active": "1", "other": "2", "percent": 50})
    # As it was: below the tenant, and nobody's.
    table = aws.table("DIRECTORY_TABLE")
    for item in aws.items("DIRECTORY_TABLE"):
        if item["owner"]["S"] == "tasks#acme":
            key = {name: item[name] for name in ("owner", "entry")}
            kept = {
                name: value for name, value in item.items() if name not in {"created_by", "changed_by", "changed_at"}
            }
            aws.client.call("DeleteItem", {"TableName": table, "Key": key})
            aws.client.call("PutItem", {"TableName": table, "Item": kept | {"owner": {"S": "tenant#acme"}}})
    tasks.restart()
    listed = tasks.send("GET /v1/tasks/remediation/versions").body
    assert [(each["version"], each["created_by"]) for each in listed["data"]] == [("1", None), ("2", None)]
    split = {"active": "1", "other": "2", "percent": 50}
    assert listed["traffic"] == split | {"changed_by": None, "changed_at": None}
    assert tasks.run("remediation", {"issue_details": "x"}).body["version"] in {"1", "2"}
    third = tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    assert third.body["version"] == "3"
    tasks.restart()
    assert split.items() <= tasks.send("GET /v1/tasks/remediation/versions").body["traffic"].items()
    tasks.send("POST /v1/tasks/remediation/versions/2/activate")
    tasks.restart()
    assert tasks.run("remediation", {"issue_details": "x"}).body["version"] == "2"
    assert [each["version"] for each in tasks.send("GET /v1/tasks/remediation/versions").body["data"]] == [
        "1",
        "2",
        "3",
    ]
    assert tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()}).body["version"] == "4"
