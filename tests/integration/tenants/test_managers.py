"""Managers: they look after the keys of one tenant, see what it used, and nothing of the deployments or of others."""

import pytest

from functions.keys.app import ROUTES as KEYS
from functions.operations.app import ROUTES as OPERATIONS
from functions.usage.app import ROUTES as USAGE
from sluice.api.routes import ROUTES
from sluice.tenants.tenant import Role
from tests.chat_server import ChatServer
from tests.rest_function import RestFunction
from tests.tenants import key_id

ITS_ROUTES = {
    "PATCH /api/v1/ai/configuration/models",
    "PATCH /api/v1/ai/configuration/policies",
    "PATCH /api/v1/ai/configuration/cost_limits",
    "PATCH /api/v1/ai/configuration/features",
    "PATCH /api/v1/ai/preferences/agent_config",
    "PATCH /api/v1/ai/preferences/dashboard_ai",
    "PATCH /api/v1/ai/preferences/embedding_config",
    "PATCH /api/v1/ai/preferences/qa_agent",
    "POST /v1/keys",
    "POST /v1/keys/batch",
    "POST /v1/keys/{id}/rotate",
    "GET /v1/keys",
    "PATCH /v1/keys/{id}",
    "DELETE /v1/keys/{id}",
    "GET /v1/tenants/{id}/budget",
    "GET /v1/requests",
    "GET /v1/requests/{id}",
    "GET /v1/overview",
    "GET /api/v1/ai/dashboard/insights",
    "POST /api/v1/ai/dashboard/insights/{id}/mute",
    "POST /api/v1/ai/dashboard/insights/{id}/feedback",
}


@pytest.fixture
def manager(chat: ChatServer) -> RestFunction:
    """The functions, with a manager's key of the tenant `acme`."""
    return RestFunction((*KEYS, *OPERATIONS, *USAGE), chat.key("acme", role="manager"))


def test_what_a_manager_may_do_beyond_a_caller_is_this_and_no_more() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES if route.role is Role.MANAGER} == ITS_ROUTES


def test_a_manager_makes_changes_and_revokes_keys_of_its_tenant(manager: RestFunction) -> None:
    made = manager.send("POST /v1/keys", {"tenant": "acme", "name": "lab", "limits": {"budget_usd_per_month": 2}})
    assert (made.status, made.body["role"]) == (201, "caller")
    path = f"/v1/keys/{made.body['id']}"
    changed = manager.send(f"PATCH {path}", {"limits": {"budget_usd_per_month": 3}})
    assert changed.body["limits"]["budget_usd_per_month"] == 3
    assert made.body["id"] in {
        each["id"] for each in manager.send("GET /v1/keys", query={"tenant": "acme"}).body["data"]
    }
    assert made.body["id"] in {each["id"] for each in manager.send("GET /v1/budget").body["keys"]}
    assert manager.send(f"DELETE {path}").body["deleted"] is True


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_a_manager_neither_makes_nor_touches_a_key_that_may_do_more(
    chat: ChatServer, manager: RestFunction, role: str
) -> None:
    assert manager.send("POST /v1/keys", {"tenant": "acme", "name": "more", "role": role}).status == 403
    higher = key_id(chat.key("acme", role=role))
    own = key_id(manager.api_key)
    assert manager.send(f"PATCH /v1/keys/{higher}", {"name": "mine"}).status == 403
    assert manager.send(f"PATCH /v1/keys/{own}", {"role": role}).status == 403
    assert manager.send(f"DELETE /v1/keys/{higher}").status == 403


def test_another_tenant_is_not_there_for_a_manager(chat: ChatServer, manager: RestFunction) -> None:
    other = chat.tenant("other", budget_usd_per_month=5)
    asked = chat.post({"model": "small", "messages": [{"role": "user", "content": "Hi"}]}, api_key=other)
    request = asked.headers["x-sluice-request-id"]
    key = key_id(other)
    answers = {
        route: manager.send(route, body, query=query).status
        for route, body, query in (
            ("POST /v1/keys", {"tenant": "other", "name": "spy"}, None),
            ("GET /v1/keys", None, {"tenant": "other"}),
            (f"PATCH /v1/keys/{key}", {"name": "mine"}, None),
            (f"DELETE /v1/keys/{key}", None, None),
            ("GET /v1/tenants/other/budget", None, None),
            ("GET /v1/requests", None, {"tenant": "other"}),
            (f"GET /v1/requests/{request}", None, None),
            ("GET /v1/overview", None, {"tenant": "other"}),
            ("GET /v1/usage", None, {"tenant": "other"}),
            ("GET /v1/budget", None, {"key": key}),
        )
    }
    assert set(answers.values()) == {404}, answers
    assert manager.send("GET /v1/requests").body["data"] == []
    assert manager.send("GET /v1/usage", query={"group_by": "tenant"}).body["data"] == []


def test_the_deployments_and_the_stack_are_not_a_manager_s(manager: RestFunction) -> None:
    refused = {
        route: manager.send(route, body).status
        for route, body in (
            ("GET /v1/providers", None),
            ("GET /api/groq/quota", None),
            ("POST /api/groq/cache/clear", None),
            ("POST /v1/providers/reset", {"deployment": "fake-1#small"}),
            ("GET /v1/audit", None),
            ("GET /v1/reports", None),
            ("GET /v1/tenants", None),
            ("POST /v1/tenants", {"id": "mine", "name": "Mine"}),
            ("POST /v1/tenants/acme/budget/add", {"usd": 100}),
            ("PATCH /v1/tenants/acme", {"budget_usd_per_month": 100}),
        )
    }
    assert set(refused.values()) == {403}, refused
    assert manager.send("GET /api/groq/health").body.keys() == {"status"}


def test_a_manager_is_told_that_it_is_one(manager: RestFunction) -> None:
    me = manager.send("GET /v1/me").body
    assert (me["role"], me["tenant"]["id"], me["key"]["id"]) == ("manager", "acme", key_id(manager.api_key))
