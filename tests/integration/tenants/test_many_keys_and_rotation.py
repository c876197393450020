"""A class's keys are made at once, and a key gets another secret while the old one still holds."""

import time
from typing import Any

import pytest

from functions.keys.app import ROUTES
from sluice.api.me import ROUTES as ME
from sluice.errors import StorageUnavailableError
from tests.conftest import Aws
from tests.rest_function import RestFunction
from tests.tenants import key_id


@pytest.fixture
def keys(aws: Aws) -> RestFunction:
    function = RestFunction((*ROUTES, *ME))
    function.tenant("acme")
    function.api_key = function.key(role="manager", limits={"budget_usd_per_month": 5})
    return function


def is_taken(keys: RestFunction, api_key: str) -> bool:
    return keys.send("GET /v1/me", api_key=api_key).status == 200


def batch(*names: str, **fields: Any) -> dict[str, Any]:
    return {"tenant": "acme", "names": names, "limits": {"budget_usd_per_month": 1}, **fields}


def test_a_class_gets_its_keys_at_once(keys: RestFunction) -> None:
    answer = keys.send("POST /v1/keys/batch", batch("Ada", "Grace", expires_at="2099-01-01T00:00:00Z"))
    assert answer.status == 201
    assert answer.body["not_made"] == []
    made = answer.body["data"]
    assert [each["name"] for each in made] == ["Ada", "Grace"]
    assert {each["limits"]["budget_usd_per_month"] for each in made} == {1}
    assert all(is_taken(keys, each["api_key"]) for each in made)
    assert len({each["api_key"] for each in made}) == 2
    assert not [each for each in keys.send("GET /v1/keys", query={"tenant": "acme"}).body["data"] if "api_key" in each]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (batch(), 400),
        (batch("Ada", "Ada"), 400),
        (batch(*(f"Pupil {number}" for number in range(101))), 400),
        (batch("Ada", limits={"budget_usd_per_month": 6}), 403),
        (batch("Ada", role="admin"), 403),
        (batch("Ada", tenant="globex"), 404),
    ],
)
def test_what_no_single_key_may_have_none_of_many_has(keys: RestFunction, body: Any, status: int) -> None:
    before = len(keys.send("GET /v1/keys", query={"tenant": "acme"}).body["data"])
    assert keys.send("POST /v1/keys/batch", body).status == status
    assert len(keys.send("GET /v1/keys", query={"tenant": "acme"}).body["data"]) == before


def test_what_was_made_is_shown_though_the_rest_was_not(keys: RestFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = keys.app.directory.create_key, 0

    def fails_at_the_third(*args: Any) -> None:
        nonlocal made
        made += 1
        if made == 3:
            raise StorageUnavailableError("DynamoDB does not answer.")
        create(*args)

    monkeypatch.setattr(keys.app.directory, "create_key", fails_at_the_third)
    answer = keys.send("POST /v1/keys/batch", batch("Ada", "Grace", "Emmy", "Lise"))
    assert answer.body["not_made"] == ["Emmy", "Lise"]
    assert all(is_taken(keys, each["api_key"]) for each in answer.body["data"])


def test_a_rotated_key_is_the_same_key_and_both_secrets_hold_until_a_time(
    keys: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = keys.key(name="bot", limits={"budget_usd_per_month": 2})
    assert is_taken(keys, old)
    until = int(time.time()) + 3_600
    answer = keys.send(f"POST /v1/keys/{key_id(old)}/rotate", {"old_secret_until": until})
    assert answer.status == 200
    new = answer.body["api_key"]
    assert (answer.body["id"], answer.body["old_secret_until"]) == (key_id(old), until)
    assert answer.body["limits"]["budget_usd_per_month"] == 2
    # The process that has the key in memory takes the new secret at once.
    assert is_taken(keys, new)
    assert is_taken(keys, old)
    listed = keys.send("GET /v1/keys", query={"tenant": "acme"}).raw
    assert "secret_hash" not in listed
    # Another change leaves both as they are.
    assert keys.send(f"PATCH /v1/keys/{key_id(old)}", {"name": "the bot"}).status == 200
    clock = time.time
    monkeypatch.setattr(keys.app.verifier, "_now", lambda: clock() + 3_700)
    assert is_taken(keys, new)
    assert not is_taken(keys, old)


def test_without_an_overlap_the_old_secret_ends_and_a_wrong_one_never_holds(keys: RestFunction) -> None:
    old = keys.key(name="bot", limits={"budget_usd_per_month": 2})
    new = keys.send(f"POST /v1/keys/{key_id(old)}/rotate", {}).body["api_key"]
    assert is_taken(keys, new)
    assert not is_taken(keys, old)
    assert not is_taken(keys, old[:-1] + ("a" if old[-1] != "a" else "b"))
    newest = keys.send(f"POST /v1/keys/{key_id(old)}/rotate", {"old_secret_until": int(time.time()) + 60}).body
    keys.restart()
    assert is_taken(keys, newest["api_key"])
    assert is_taken(keys, new)
    assert not is_taken(keys, old)


def test_a_rotation_that_is_sent_again_leaves_the_secret_in_use_as_it_is(keys: RestFunction) -> None:
    used = keys.key(name="bot", limits={"budget_usd_per_month": 2})
    rotate, until = f"POST /v1/keys/{key_id(used)}/rotate", int(time.time()) + 3_600
    lost = keys.send(rotate, {"old_secret_until": until}).body["api_key"]
    again = keys.send(rotate, {"old_secret_until": until + 60}).body
    assert again["old_secret_until"] == until + 60
    keys.restart()
    assert [is_taken(keys, each) for each in (used, lost, again["api_key"])] == [True, False, True]
    # At once is at once: all secrets before end.
    newest = keys.send(rotate, {}).body["api_key"]
    keys.restart()
    assert [is_taken(keys, each) for each in (used, again["api_key"], newest)] == [False, False, True]


def test_once_an_overlap_is_over_the_secret_after_it_is_the_one_in_use(
    keys: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keys.key(name="bot", limits={"budget_usd_per_month": 2})
    rotate, clock = f"POST /v1/keys/{key_id(first)}/rotate", time.time
    second = keys.send(rotate, {"old_secret_until": int(clock()) + 60}).body["api_key"]
    monkeypatch.setattr(keys.app.administration, "_now", lambda: clock() + 120)
    third = keys.send(rotate, {"old_secret_until": int(clock()) + 3_600}).body["api_key"]
    keys.restart()
    assert [is_taken(keys, each) for each in (first, second, third)] == [False, True, True]


def administering(keys: RestFunction, own: str) -> list[tuple[str, Any]]:
    """Requests that a manager's key looks after keys with: its own, and another."""
    other = key_id(keys.key(name="other", limits={"budget_usd_per_month": 1}))
    until = {"old_secret_until": int(time.time()) + 3_600}
    return [
        *((f"POST /v1/keys/{each}/rotate", until) for each in (key_id(own), other)),
        *((f"PATCH /v1/keys/{each}", {"name": "mine"}) for each in (key_id(own), other)),
        ("POST /v1/keys", {"tenant": "acme", "name": "mine", "limits": {"budget_usd_per_month": 1}}),
        ("POST /v1/keys/batch", batch("mine")),
        *((f"DELETE /v1/keys/{each}", None) for each in (other, key_id(own))),
    ]


def test_keys_are_looked_after_with_the_newest_secret_alone(keys: RestFunction) -> None:
    old, until = keys.api_key, {"old_secret_until": int(time.time()) + 3_600}
    new = keys.send(f"POST /v1/keys/{key_id(old)}/rotate", until).body["api_key"]
    keys.restart()
    for route, body in administering(keys, old):
        refused = keys.send(route, body)
        assert (refused.status, refused.error["code"]) == (403, "old_secret"), route
    assert keys.send("GET /v1/keys", query={"tenant": "acme"}).status == 200
    newest = keys.send(f"POST /v1/keys/{key_id(old)}/rotate", until, api_key=new).body["api_key"]
    # But for the first, which would exchange the secret that the others are sent with.
    done = [keys.send(*each, api_key=newest).status for each in administering(keys, old)[1:]]
    assert done == [200, 200, 200, 201, 201, 200, 200]


def test_a_secret_that_a_process_still_takes_takes_no_key_over(keys: RestFunction) -> None:
    old, elsewhere = keys.api_key, RestFunction(ROUTES, keys.api_key)
    assert is_taken(keys, old)
    elsewhere.send(f"POST /v1/keys/{key_id(old)}/rotate", {})
    assert is_taken(keys, old)  # for as long as it is in memory
    for route, body in administering(keys, old):
        assert keys.send(route, body).error["code"] == "old_secret", route


def test_a_key_that_is_rotated_at_the_same_time_does_not_rotate_itself(
    keys: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate, elsewhere = f"POST /v1/keys/{key_id(keys.api_key)}/rotate", RestFunction(ROUTES, keys.api_key)
    change = keys.app.directory.change_key

    def meets_another(*args: Any) -> bool:
        monkeypatch.setattr(keys.app.directory, "change_key", change)
        assert elsewhere.send(rotate, {}).status == 200
        return change(*args)

    monkeypatch.setattr(keys.app.directory, "change_key", meets_another)
    assert keys.send(rotate, {}).error["code"] == "old_secret"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("DELETE", None), 401),
        (("PATCH", {"role": "caller"}), 403),
        (("PATCH", {"limits": {"budget_usd_per_month": 0.5}}), 403),
    ],
)
def test_what_a_manager_s_key_may_give_is_what_it_has_at_that_moment(
    keys: RestFunction, change: tuple[str, Any], status: int
) -> None:
    assert is_taken(keys, keys.api_key)
    method, body = change
    elsewhere = RestFunction(ROUTES, keys.key(role="admin"))
    assert elsewhere.send(f"{method} /v1/keys/{key_id(keys.api_key)}", body).status == 200
    assert is_taken(keys, keys.api_key)
    assert keys.send("POST /v1/keys/batch", batch("Ada")).status == status


def test_what_refuses_a_rotation_is_no_field_of_the_request(
    keys: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = keys.key(name="short", limits={"budget_usd_per_month": 1}, expires_at=int(time.time()) + 60)
    more = keys.send(f"POST /v1/keys/{key_id(keys.key(name='more', limits={'budget_usd_per_month': 50}))}/rotate", {})
    assert (more.status, more.error["param"]) == (403, None)
    assert "limits.budget_usd_per_month" in more.error["message"]
    clock = time.time
    monkeypatch.setattr(keys.app.administration, "_now", lambda: clock() + 120)
    refused = keys.send(f"POST /v1/keys/{key_id(short)}/rotate", {})
    assert (refused.status, refused.error["param"]) == (409, None)
    assert "has expired" in refused.error["message"]


def test_a_manager_gets_no_secret_of_a_key_that_may_do_more(keys: RestFunction) -> None:
    more = keys.key(name="more", limits={"budget_usd_per_month": 50})
    operator = keys.key(name="operator", role="operator")
    keys.tenant("globex")
    other = keys.key("globex", name="other")
    for api_key, status in ((more, 403), (operator, 403), (other, 404)):
        assert keys.send(f"POST /v1/keys/{key_id(api_key)}/rotate", {}).status == status
    for moment in (int(time.time()) - 1, int(time.time()) + 91 * 86_400):
        refused = keys.send(
            f"POST /v1/keys/{key_id(keys.key(limits={'budget_usd_per_month': 1}))}/rotate", {"old_secret_until": moment}
        )
        assert (refused.status, refused.error["param"]) == (400, "old_secret_until")


def test_a_rotation_is_in_the_audit_log_without_secrets(keys: RestFunction) -> None:
    old = keys.key(name="bot", limits={"budget_usd_per_month": 2})
    answer = keys.send(f"POST /v1/keys/{key_id(old)}/rotate", {"old_secret_until": int(time.time()) + 60})
    admin = keys.key(role="admin")
    found = keys.send("GET /v1/audit", query={"action": "key.rotated"}, api_key=admin)
    assert [each["target"] for each in found.body["data"]] == [key_id(old)]
    assert answer.body["api_key"].rpartition("-")[2] not in found.raw
