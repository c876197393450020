"""Tenants and keys that are changed and deleted, by admins and operators, one after the other and at once."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from functions.keys.app import ROUTES
from sluice.errors import ConflictError, NotFoundError, SluiceError, StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey, Role, Tenant
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.rest_function import RestAnswer, RestFunction
from tests.tenants import ADMIN

AT_ONCE = 8
FEW = {"requests_per_minute": 50}


class House(RestFunction):
    """The function keys, with two tenants, each with an operator."""

    def __init__(self, aws: Aws) -> None:
        super().__init__(ROUTES, aws.admin_key)
        self.operators = {}
        for tenant in ("acme", "zoo"):
            self.tenant(tenant)
            self.operators[tenant] = self.key(tenant, role="operator", limits=FEW)

    def as_operator(self, tenant: str, route: str, body: Any = None, **more: Any) -> RestAnswer:
        return self.send(route, body, api_key=self.operators[tenant], **more)

    def made(self, **more: Any) -> Any:
        answer = self.send("POST /v1/keys", {"tenant": "acme", "name": "app", **more})
        assert answer.status == 201, answer.raw
        return answer.body

    def is_accepted(self, api_key: str) -> bool:
        """Whether a fresh process takes the key."""
        self.restart()
        return self.send("GET /v1/audit", api_key=api_key).status != 401

    def shown(self, key_id: str) -> Any:
        listed = self.send("GET /v1/keys", query={"tenant": "acme", "limit": "100"}).body["data"]
        return next(key for key in listed if key["id"] == key_id)


@pytest.fixture
def house(aws: Aws) -> House:
    return House(aws)


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each of the works came to, or raised of Sluice's errors, all let go at the same time."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        gate.wait()
        try:
            return work()
        except SluiceError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


@ON_BOTH_EMULATORS
def test_a_tenant_s_fields_are_changed_one_by_one_and_taken_away_by_null(house: House) -> None:
    first = {"budget_usd_per_month": 1.5, "allowed_models": ["auto"], "guard_modes": {"personal-email": "block"}}
    changed = house.send("PATCH /v1/tenants/acme", first)
    assert changed.status == 200, changed.raw
    assert first.items() <= changed.body.items()
    second = house.send("PATCH /v1/tenants/acme", {"budget_usd_per_month": None, "name": "ACME", "guard_modes": None})
    expected = changed.body | {"budget_usd_per_month": None, "name": "ACME", "guard_modes": {}}
    assert second.body == expected
    assert house.send("GET /v1/tenants").body["data"][0] == expected
    stored = house.app.directory.tenant("acme")
    assert stored is not None
    assert (stored.name, stored.allowed_models, stored.revision) == ("ACME", ("auto",), 2)


def test_what_changes_nothing_is_not_written(house: House) -> None:
    house.send("PATCH /v1/tenants/acme", {"name": "ACME"})
    before = house.app.directory.tenant("acme")
    assert house.send("PATCH /v1/tenants/acme", {"name": "ACME"}).status == 200
    assert house.app.directory.tenant("acme") == before
    assert len(house.send("GET /v1/audit", query={"action": "tenant.changed"}).body["data"]) == 1


@pytest.mark.parametrize(
    ("route", "body", "param"),
    [
        ("PATCH /v1/tenants/acme", {}, None),
        ("PATCH /v1/tenants/acme", {"id": "other"}, "id"),
        ("PATCH /v1/tenants/acme", {"name": None}, "name"),
        ("PATCH /v1/tenants/acme", {"budget_usd_per_month": -1}, "budget_usd_per_month"),
        ("PATCH /v1/tenants/acme", {"guard_modes": {"nonsense": "off"}}, "guard_modes.nonsense"),
        *(
            ("PATCH /v1/tenants/acme", {name: value}, name)
            for name, values in {
                "guard_mode": ["", "none", 0, True],
                "routing_enabled": ["", "off", 0, 1],
                "default_max_tokens": [-1, 10**12, 0.5, "", "10", [], True],
                "default_temperature": [-0.1, 2.1, 1e308, "", "0.7", {}, False],
                "conversation_messages": [0, -1, 101, 1e9, "", "10", 2.5],
                "conversation_tokens": [0, -1, 10**9, ""],
                "time_zone": ["", "Nowhere", "America", "../etc/passwd", "/etc/passwd", 1, "x" * 65],
                "cache_ttl_seconds": [-1, 10**9, "", 1.5],
            }.items()
            for value in values
        ),
        ("PATCH /v1/keys/{key}", {}, None),
        ("PATCH /v1/keys/{key}", {"tenant": "zoo"}, "tenant"),
        ("PATCH /v1/keys/{key}", {"role": None}, "role"),
        ("PATCH /v1/keys/{key}", {"limits": None}, "limits"),
        ("PATCH /v1/keys/{key}", {"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ("PATCH /v1/keys/{key}", {"expires_at": 5}, "expires_at"),
    ],
)
def test_a_wrong_change_is_refused_at_its_field(house: House, route: str, body: Any, param: str | None) -> None:
    made = house.made()
    answer = house.send(route.format(key=made["id"]), body)
    assert (answer.status, answer.error["param"]) == (400, param)
    made.pop("api_key")
    assert house.shown(made["id"]) == made


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_no_temperature(house: House, number: str) -> None:
    before = house.send("GET /v1/tenants").body
    answer = house.send("PATCH /v1/tenants/acme", json.loads(f'{{"default_temperature": {number}}}'))
    assert answer.status == 400, answer.raw
    assert house.send("GET /v1/tenants").body == before


@ON_BOTH_EMULATORS
def test_settings_of_a_tenant_are_set_at_their_bounds_and_taken_away(house: House) -> None:
    least = {
        "guard_mode": "off",
        "routing_enabled": False,
        "default_max_tokens": 0,
        "default_temperature": 0,
        "conversation_messages": 1,
        "conversation_tokens": 1,
        "time_zone": "UTC",
    }
    most = {
        "guard_mode": "block",
        "routing_enabled": True,
        "default_max_tokens": 10**9,
        "default_temperature": 2,
        "conversation_messages": 100,
        "conversation_tokens": 1_000_000,
        "time_zone": "America/Argentina/ComodRivadavia",
    }
    for wanted in (least, most, dict.fromkeys(most)):
        changed = house.send("PATCH /v1/tenants/acme", wanted)
        assert changed.status == 200, changed.raw
        assert wanted.items() <= changed.body.items()
        house.restart()
        assert changed.body in house.send("GET /v1/tenants").body["data"]


@ON_BOTH_EMULATORS
def test_a_key_is_changed_where_it_is_used_and_where_it_is_listed(house: House) -> None:
    made = house.made(limits={"requests_per_minute": 7, "requests_per_day": 9}, expires_at=2_000_000_000)
    wanted = {"name": "evenings", "limits": {"requests_per_minute": None}, "expires_at": None, "role": "operator"}
    changed = house.send(f"PATCH /v1/keys/{made['id']}", wanted)
    assert changed.status == 200, changed.raw
    unlimited = {"budget_usd_per_month": None, "tokens_per_minute": None, "tokens_per_day": None}
    assert changed.body["limits"] == {"requests_per_minute": 100, "requests_per_day": 9, **unlimited}
    assert (changed.body["name"], changed.body["expires_at"], changed.body["role"]) == ("evenings", None, "operator")
    assert house.shown(made["id"]) == changed.body
    assert house.is_accepted(made["api_key"])
    stored = house.app.directory.key(made["id"])
    assert stored is not None
    assert (stored.requests_per_minute, stored.requests_per_day, stored.role) == (None, 9, Role.OPERATOR)


def test_a_revoked_key_stays_as_it_is(house: House) -> None:
    made = house.made()
    house.send(f"DELETE /v1/keys/{made['id']}")
    answer = house.send(f"PATCH /v1/keys/{made['id']}", {"name": "back again", "expires_at": None})
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    assert not house.is_accepted(made["api_key"])


def test_an_operator_looks_after_its_own_tenant_s_keys(house: House) -> None:
    made = house.as_operator("acme", "POST /v1/keys", {"tenant": "acme", "name": "lab", "limits": FEW})
    assert made.status == 201, made.raw
    path = f"/v1/keys/{made.body['id']}"
    assert house.as_operator("acme", f"PATCH {path}", {"name": "lab 2"}).body["name"] == "lab 2"
    assert house.as_operator("acme", "GET /v1/keys", query={"tenant": "acme"}).status == 200
    assert house.as_operator("acme", f"DELETE {path}").status == 200
    assert not house.is_accepted(made.body["api_key"])


def test_another_tenant_s_keys_are_not_there_for_an_operator(house: House) -> None:
    made = house.made()
    path = f"/v1/keys/{made['id']}"
    answers = [
        house.as_operator("zoo", "POST /v1/keys", {"tenant": "acme", "name": "x"}),
        house.as_operator("zoo", "POST /v1/keys", {"tenant": "admin", "name": "x"}),
        house.as_operator("zoo", "GET /v1/keys", query={"tenant": "acme"}),
        house.as_operator("zoo", f"PATCH {path}", {"name": "mine"}),
        house.as_operator("zoo", f"DELETE {path}"),
        house.as_operator("zoo", "GET /v1/audit", query={"tenant": "acme"}),
    ]
    assert [answer.status for answer in answers] == [404] * len(answers)
    unknown = house.as_operator("zoo", "DELETE /v1/keys/nobodyhas1t")
    assert answers[4].error["message"].replace(made["id"], "") == unknown.error["message"].replace("nobodyhas1t", "")
    assert house.is_accepted(made["api_key"])


def test_an_operator_gives_nobody_more_than_it_has(house: House) -> None:
    admin = house.made(role="admin")
    mine = house.as_operator("acme", "POST /v1/keys", {"tenant": "acme", "name": "mine", "limits": FEW}).body["id"]
    own = house.operators["acme"].split("-")[1]
    refused = [
        ("POST /v1/keys", {"tenant": "acme", "name": "x", "role": "admin"}, "role"),
        ("POST /v1/keys", {"tenant": "acme", "name": "x", "limits": {"requests_per_minute": 51}}, "limits."),
        ("POST /v1/keys", {"tenant": "acme", "name": "x", "limits": {**FEW, "requests_per_day": 10**9}}, "limits."),
        # The deployment's default is more than it has.
        ("POST /v1/keys", {"tenant": "acme", "name": "x"}, "limits."),
        (f"PATCH /v1/keys/{mine}", {"role": "admin"}, "role"),
        (f"PATCH /v1/keys/{own}", {"role": "admin"}, "role"),
        (f"PATCH /v1/keys/{own}", {"limits": {"requests_per_minute": 1000}}, "limits."),
        (f"PATCH /v1/keys/{own}", {"limits": {"requests_per_minute": None}}, "limits."),
        (f"PATCH /v1/keys/{admin['id']}", {"name": "mine"}, ""),
        (f"DELETE /v1/keys/{admin['id']}", None, ""),
    ]
    for route, body, param in refused:
        answer = house.as_operator("acme", route, body)
        assert (answer.status, answer.error["code"]) == (403, "insufficient_role"), route
        assert (answer.error["param"] or "").startswith(param)
    assert house.is_accepted(admin["api_key"])
    assert house.shown(own)["limits"]["requests_per_minute"] == 50


def test_limits_of_spending_are_changed_one_by_one_and_recorded(house: House) -> None:
    given = {"budget_usd_per_month": 1.5, "tokens_per_minute": 500, "tokens_per_day": 9_000}
    made = house.made(limits=given, user_limits={"budget_usd_per_month": 0.25})
    path = f"/v1/keys/{made['id']}"
    changed = house.send(f"PATCH {path}", {"limits": {"budget_usd_per_month": 2, "tokens_per_minute": None}})
    assert changed.status == 200, changed.raw
    shown = {name: changed.body["limits"][name] for name in given}
    assert shown == {"budget_usd_per_month": 2, "tokens_per_minute": None, "tokens_per_day": 9_000}
    assert changed.body["user_limits"]["budget_usd_per_month"] == 0.25
    assert house.shown(made["id"])["limits"] == changed.body["limits"]
    house.send(f"PATCH {path}", {"user_limits": None})
    stored = house.app.directory.key(made["id"])
    assert stored is not None
    assert (stored.budget_nanousd, stored.tokens_per_day, stored.user_limits) == (2_000_000_000, 9_000, {})
    records = house.send("GET /v1/audit", query={"limit": "2"}).body["data"]
    assert [record["changes"] for record in records] == [
        {"user_limits": {"before": {"budget_usd_per_month": 0.25}, "after": None}},
        {
            "limits.budget_usd_per_month": {"before": 1.5, "after": 2},
            "limits.tokens_per_minute": {"before": 500, "after": None},
        },
    ]


def test_an_operator_with_a_budget_gives_nobody_a_larger_one(house: House) -> None:
    own = house.operators["acme"].split("-")[1]
    most = {"budget_usd_per_month": 2, "tokens_per_day": 1_000}
    assert house.send(f"PATCH /v1/keys/{own}", {"limits": most}).status == 200
    house.restart()
    for limits, param in (
        ({"budget_usd_per_month": 2.5, "tokens_per_day": 1}, "limits.budget_usd_per_month"),
        ({"tokens_per_day": 1}, "limits.budget_usd_per_month"),
        ({"budget_usd_per_month": 1}, "limits.tokens_per_day"),
        ({"budget_usd_per_month": 1, "tokens_per_day": 1_001}, "limits.tokens_per_day"),
    ):
        answer = house.as_operator("acme", "POST /v1/keys", {"tenant": "acme", "name": "x", "limits": FEW | limits})
        assert (answer.status, answer.error["param"]) == (403, param)
    assert (
        "$2.5 is more than $2"
        in house.as_operator("acme", f"PATCH /v1/keys/{own}", {"limits": {"budget_usd_per_month": 2.5}}).error[
            "message"
        ]
    )
    less = {"tenant": "acme", "name": "x", "limits": FEW | {**most, "tokens_per_minute": 5}}
    assert house.as_operator("acme", "POST /v1/keys", less).status == 201


def test_an_operator_may_rename_a_key_that_has_more_than_itself(house: House) -> None:
    strong = house.made(limits={"requests_per_minute": 1000})
    assert house.as_operator("acme", f"PATCH /v1/keys/{strong['id']}", {"name": "y"}).status == 200
    lower = {"limits": {"requests_per_minute": 900}}
    assert house.as_operator("acme", f"PATCH /v1/keys/{strong['id']}", lower).status == 200


@ON_BOTH_EMULATORS
def test_of_changes_at_once_each_is_made_and_none_undoes_another(house: House) -> None:
    fields: list[dict[str, Any]] = [
        {"cache_ttl_s": 7},
        {"budget_nanousd": 8},
        {"cache_policy": "off"},
        {"name": "ACME"},
    ]

    def change(**given: Any) -> Tenant:
        return house.app.administration.change_tenant("acme", lambda tenant: replace(tenant, **given), ADMIN)

    outcomes = at_once(*(partial(change, **each) for each in fields))
    stored = house.app.directory.tenant("acme")
    assert stored is not None
    done = [each for each, outcome in zip(fields, outcomes, strict=True) if isinstance(outcome, Tenant)]
    assert done
    for each in done:
        assert each.items() <= {name: getattr(stored, name) for name in each}.items()
    assert stored.revision == len(done)
    records = house.send("GET /v1/audit", query={"action": "tenant.changed"}).body["data"]
    assert len(records) == len(done)
    assert {type(outcome) for outcome in outcomes} <= {Tenant, ConflictError}


def test_a_change_that_meets_others_all_the_time_is_a_conflict(house: House) -> None:
    admin, numbers = house.app.administration, count(1)

    def change(tenant: Tenant) -> Tenant:
        assert house.app.directory.change_tenant(tenant, replace(tenant, cache_ttl_s=next(numbers)))
        return replace(tenant, name="late")

    with pytest.raises(ConflictError, match="try again"):
        admin.change_tenant("acme", change, ADMIN)
    stored = house.app.directory.tenant("acme")
    assert stored is not None
    assert (stored.name, stored.cache_ttl_s) == ("acme", 5)


@ON_BOTH_EMULATORS
def test_of_a_deleted_tenant_no_key_works_and_its_id_is_nobody_s(house: House) -> None:
    made = house.made(role="admin")
    answer = house.send("DELETE /v1/tenants/acme")
    assert answer.status == 200, answer.raw
    assert answer.body == {
        "id": "acme",
        "object": "tenant.deleted",
        "deleted": True,
        "keys_revoked": 3,
        "is_finished": True,
    }
    for key in (made["api_key"], house.operators["acme"]):
        assert not house.is_accepted(key)
    assert house.is_accepted(house.operators["zoo"])
    assert [tenant["id"] for tenant in house.send("GET /v1/tenants").body["data"]] == ["zoo"]
    assert all(key["revoked_at"] for key in house.send("GET /v1/keys", query={"tenant": "acme"}).body["data"])
    assert house.send("PATCH /v1/tenants/acme", {"name": "x"}).status == 404
    assert house.send(f"PATCH /v1/keys/{made['id']}", {"name": "x"}).status == 409
    assert house.send("POST /v1/keys", {"tenant": "acme", "name": "x"}).status == 404
    assert house.send("POST /v1/tenants", {"id": "acme", "name": "again"}).status == 409


def test_deleting_a_tenant_twice_changes_nothing_and_a_tenant_that_never_was_is_not_found(house: House) -> None:
    first, again = house.send("DELETE /v1/tenants/acme"), house.send("DELETE /v1/tenants/acme")
    assert again.body == first.body | {"keys_revoked": 0}
    assert len(house.send("GET /v1/audit", query={"action": "tenant.deleted"}).body["data"]) == 1
    for odd in ("never", "admin", "%00", "a%0A", "ACME", "x" * 3000, "acme%23", "%F0%9F%92%A9"):
        assert house.send(f"DELETE /v1/tenants/{odd}").status == 404, odd
        assert house.send(f"PATCH /v1/tenants/{odd}", {"name": "x"}).status == 404, odd


def test_keys_stop_with_their_tenant_before_each_is_revoked_and_the_rest_is_revoked_later(house: House) -> None:
    made = house.made()
    deletion = house.app.administration.delete_tenant("acme", ADMIN, lambda: 0.0)
    assert (deletion.keys_revoked, deletion.is_finished) == (0, False)
    assert not house.is_accepted(made["api_key"])
    stored = house.app.directory.key(made["id"])
    assert stored is not None
    assert stored.revoked_at is None
    assert house.send(f"PATCH /v1/keys/{made['id']}", {"name": "x"}).status == 404
    assert house.send("DELETE /v1/tenants/acme").body["keys_revoked"] == 3
    stored = house.app.directory.key(made["id"])
    assert stored is not None
    assert stored.revoked_at is not None


@pytest.mark.parametrize("_round", range(3))
def test_changes_and_new_keys_during_a_deletion_leave_nothing_behind(house: House, _round: int) -> None:
    admin, directory = house.app.administration, house.app.directory
    keys = [f"k{number}" for number in range(AT_ONCE)]
    outcomes = at_once(
        lambda: admin.delete_tenant("acme", ADMIN, lambda: 60.0),
        lambda: admin.change_tenant("acme", lambda tenant: replace(tenant, name="late"), ADMIN),
        *(partial(directory.create_key, ApiKey(key, "acme", Role.CALLER, "n", "hash")) for key in keys),
    )
    # Its one answer may have been that others were faster.
    if isinstance(outcomes[0], ConflictError | StorageUnavailableError):
        admin.delete_tenant("acme", ADMIN, lambda: 60.0)
    assert directory.tenant("acme") is None
    assert not [tenant for tenant in directory.tenants(after=None, limit=10).entries if tenant.id == "acme"]
    admin.delete_tenant("acme", ADMIN, lambda: 60.0)
    assert [key.id for key in directory.all_keys("acme") if key.revoked_at is None] == []
    for outcome in outcomes[1:]:
        assert outcome is None or isinstance(outcome, Tenant | NotFoundError | ConflictError | StorageUnavailableError)


def test_a_tenant_of_an_older_version_is_changed_and_deleted(aws: Aws, house: House) -> None:
    """It has no revision."""
    directory = Directory(aws.table("DIRECTORY_TABLE"), client=aws.client)
    for key in ({"owner": "tenant#acme", "entry": "tenant"}, {"owner": "tenants", "entry": "tenant#acme"}):
        typed: Any = {name: {"S": value} for name, value in key.items()}
        aws.dynamodb.update_item(TableName=aws.table("DIRECTORY_TABLE"), Key=typed, UpdateExpression="REMOVE revision")
    assert house.send("PATCH /v1/tenants/acme", {"name": "ACME"}).status == 200
    changed = directory.tenant("acme")
    assert changed is not None
    assert (changed.name, changed.revision) == ("ACME", 1)
    assert house.send("DELETE /v1/tenants/acme").status == 200


def test_nothing_happens_without_its_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = house.made()
    call = DynamoDB.call

    def without_audit(self: DynamoDB, operation: str, request: Any, **options: Any) -> Any:
        if operation == "TransactWriteItems":
            for each in request["TransactItems"]:
                if str(each.get("Put", {}).get("Item", {}).get("owner")).find("audit") >= 0:
                    # As if somebody had written that record.
                    each["Put"]["ConditionExpression"] = "attribute_exists(#partition)"
        return call(self, operation, request, **options)

    monkeypatch.setattr(DynamoDB, "call", without_audit)
    sent = [
        ("POST /v1/tenants", {"id": "new", "name": "New"}),
        ("PATCH /v1/tenants/acme", {"name": "ACME"}),
        ("DELETE /v1/tenants/acme", None),
        ("POST /v1/keys", {"tenant": "acme", "name": "x"}),
        (f"PATCH /v1/keys/{made['id']}", {"name": "x"}),
        (f"DELETE /v1/keys/{made['id']}", None),
    ]
    before = house.app.dynamodb.call("Scan", {"TableName": house.app.settings.directory_table})["Items"]
    for route, body in sent:
        house.send(route, body)
    after = house.app.dynamodb.call("Scan", {"TableName": house.app.settings.directory_table})["Items"]
    assert sorted(map(repr, after)) == sorted(map(repr, before))
