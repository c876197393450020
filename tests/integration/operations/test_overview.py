"""GET /v1/overview and what runs out when, through the function's handler, of a chat server with a fake provider."""

import time
from dataclasses import replace
from typing import Any

import pytest

from functions.operations.app import ROUTES as FUNCTION_ROUTES
from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction
from tests.tenants import ADMIN, key_id

QUESTION = {"model": "small", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


@pytest.fixture
def operations(chat: ChatServer) -> RestFunction:
    """The function, with an operator's key of the tenant `acme`."""
    return RestFunction(FUNCTION_ROUTES, chat.key("acme", role="operator"))


def overview(operations: RestFunction, **more: Any) -> dict[str, Any]:
    answer = operations.send("GET /v1/overview", **more)
    assert answer.status == 200, answer.raw
    found: dict[str, Any] = answer.body
    return found


def test_nothing_asked_is_nothing_to_see(operations: RestFunction) -> None:
    found = overview(operations)
    assert [each["tenant"] for each in found["tenants"]] == ["acme"]
    assert (found["last_day"]["requests"], found["last_hour"]["requests"], found["notable"]) == (0, 0, [])
    assert (found["last_hour"]["half_within_ms"], found["last_hour"]["is_complete"]) == (None, True)


def test_what_was_asked_is_counted_once_by_whose_fault_it_was(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    aws.set_credentials(gateway(fake, "fake-1"), gateway(fake, "fake-2"))
    chat.restart()
    assert chat.post({**QUESTION, "seed": 1}).status_code == 200
    fake.add_fault("500", api_key="key-fake-1", times=None)
    fake.add_fault("500", api_key="key-fake-2", times=1)
    while chat.post({**QUESTION, "seed": time.time_ns() % 10**9}).status_code != 200:
        pass
    assert chat.post({**QUESTION, "messages": []}).status_code == 400
    few = chat.key("acme", name="few", limits={"requests_per_minute": 1})
    assert [chat.post({**QUESTION, "seed": seed}, api_key=few).status_code for seed in (7, 8)][1] == 429
    hour = overview(operations)["last_hour"]
    kinds = ("answered", "fell_back", "limit", "guard", "caller", "provider", "sluice")
    assert hour["requests"] == sum(hour[kind] for kind in kinds)
    assert hour["answered"] >= 1
    assert (hour["limit"], hour["caller"], hour["guard"], hour["sluice"]) == (1, 1, 0, 0)
    assert hour["fell_back"] >= 1
    assert hour["half_within_ms"] <= hour["most_within_ms"]


def test_the_last_day_s_use_says_who_spent_it(chat: ChatServer, operations: RestFunction) -> None:
    answer = chat.post(QUESTION)
    found = overview(operations)
    cost_usd = float(answer.headers["x-sluice-cost-usd"])
    assert found["last_day"]["cost_usd"] == pytest.approx(cost_usd)
    [key] = found["keys"]
    assert (key["tenant"], key["key"], key["name"], key["requests"]) == ("acme", key_id(chat.api_key), "test", 1)
    [dearest] = found["notable"]
    assert (dearest["id"], dearest["why"]) == (
        answer.headers["x-sluice-request-id"],
        "small was asked for, and answered.",
    )


def test_deployments_are_for_operators_and_other_tenants_for_admins(chat: ChatServer, operations: RestFunction) -> None:
    chat.tenant("other")
    [row] = overview(operations)["deployments"]
    assert (row["deployment"], row["health"]["circuit"]) == ("fake-1#small", "CLOSED")
    manager = chat.key("acme", role="manager")
    assert overview(operations, api_key=manager)["deployments"] is None
    for key in (manager, None):
        refused = operations.send("GET /v1/overview", query={"tenant": "other"}, api_key=key)
        assert (refused.status, refused.error["code"]) == (404, "not_found")
    everybody = overview(operations, api_key=chat.aws.admin_key)
    assert [each["tenant"] for each in everybody["tenants"]] == ["acme", "other"]
    assert "fake-1" not in str(overview(operations, api_key=manager)["tenants"])


def test_a_budget_says_what_is_held_of_it_and_lasts_as_long_as_the_rate_says(
    chat: ChatServer, operations: RestFunction
) -> None:
    poor = chat.tenant("poor", budget_usd_per_month=1)
    answer = chat.post(QUESTION, api_key=poor)
    cost_usd = float(answer.headers["x-sluice-cost-usd"])
    admin = chat.aws.admin_key
    budget = operations.send("GET /v1/tenants/poor/budget", api_key=admin).body
    assert budget["used_usd"] == pytest.approx(cost_usd)
    assert (budget["held_usd"], budget["runs_out_at"]) == (0, None)
    [tenant] = overview(operations, query={"tenant": "poor"}, api_key=admin)["tenants"]
    assert (tenant["budget_usd"], tenant["used_usd"], tenant["runs_out_at"]) == (1, budget["used_usd"], None)
    chat.app.administration.change_tenant("poor", lambda each: replace(each, budget_nanousd=1), ADMIN)
    used_up = operations.send("GET /v1/tenants/poor/budget", api_key=admin).body
    assert used_up["runs_out_at"] == pytest.approx(time.time(), abs=60)


def test_a_tenant_without_a_budget_has_none_that_runs_out(chat: ChatServer, operations: RestFunction) -> None:
    chat.post(QUESTION)
    [tenant] = overview(operations)["tenants"]
    assert (tenant["budget_usd"], tenant["used_usd"], tenant["runs_out_at"]) == (None, None, None)


def test_the_admin_s_own_tenant_is_none(operations: RestFunction, chat: ChatServer) -> None:
    answer = operations.send("GET /v1/overview", query={"tenant": "admin"}, api_key=chat.aws.admin_key)
    assert answer.status == 404
