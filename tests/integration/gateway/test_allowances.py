"""GET /v1/budget, through the function's own handler, of limits that a chat server counts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.usage.app import ROUTES
from sluice.quota.limits import BUDGET, budget_limit
from sluice.quota.scopes import tenant_scope
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.rest_function import RestAnswer, RestFunction
from tests.tenants import key_id

PRICE = {"prompt_usd": 1_000.0, "completion_usd": 1_000.0}


@pytest.fixture
def server(aws: Aws, fake: FakeProvider) -> Iterator[ChatServer]:
    aws.set_credentials(gateway(fake, "one", models={"small": model(price=PRICE, limits={})}))
    fake.configure(usage={"prompt_tokens": 40, "completion_tokens": 60})
    with serving(aws) as running:
        yield running


@pytest.fixture
def budgets(server: ChatServer) -> RestFunction:
    return RestFunction(ROUTES, server.api_key)


def ask(server: ChatServer, api_key: str, user: str = "") -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 60}
    labels = {"x-sluice-user": user, "cache-control": "no-cache"} if user else {"cache-control": "no-cache"}
    assert server.post(body, api_key=api_key, headers=labels).status_code == 200


def show(budgets: RestFunction, api_key: str, **query: str) -> RestAnswer:
    return budgets.send("GET /v1/budget", query=query or None, api_key=api_key)


def left(allowance: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    names = ("capacity", "used", "remaining")
    return {each["limit"]: tuple(each[name] for name in names) for each in allowance["limits"]}


def test_a_caller_sees_what_it_its_user_and_its_tenant_have_left(server: ChatServer, budgets: RestFunction) -> None:
    server.tenant("class", budget_usd_per_month=10, user_limits={"budget_usd_per_month": 0.5})
    limits = {"requests_per_minute": 7, "budget_usd_per_month": 2, "tokens_per_minute": 1_000, "tokens_per_day": 5_000}
    key = server.key("class", limits=limits)
    ask(server, key, "ada")
    ask(server, key)
    answer = show(budgets, key, user="ada")
    body = answer.body
    assert (answer.status, body["keys"], body["has_more"]) == (200, [], False)
    assert (body["tenant"]["id"], left(body["tenant"])) == ("class", {"budget_usd_per_month": (10, 0.2, 9.8)})
    assert body["key"]["id"] == key_id(key)
    assert left(body["key"]) == {
        "requests_per_minute": (7, 3, 4),  # this one, too
        "requests_per_day": (14_400, 3, 14_397),
        "tokens_per_minute": (1_000, 200, 800),
        "tokens_per_day": (5_000, 200, 4_800),
        "budget_usd_per_month": (2, 0.2, 1.8),
    }
    assert body["user"]["id"] == "ada"
    assert left(body["user"]) == {
        "requests_per_minute": (30, 1, 29),
        "requests_per_day": (14_400, 1, 14_399),
        "budget_usd_per_month": (0.5, 0.1, 0.4),
    }
    now = datetime.now(UTC)
    resets = {each["limit"]: each for each in body["key"]["limits"]}
    assert 0 < resets["tokens_per_minute"]["resets_in_seconds"] <= 63
    month = datetime.fromisoformat(resets["budget_usd_per_month"]["resets_at"])
    assert (month.day, month.hour, month.minute) == (1, 0, 0)
    assert abs((month - now).total_seconds() - resets["budget_usd_per_month"]["resets_in_seconds"]) < 60


def test_what_was_never_used_is_whole_and_what_is_not_limited_is_not_listed(budgets: RestFunction) -> None:
    body = show(budgets, budgets.api_key, user="nobody").body
    assert body["tenant"]["limits"] == []
    assert set(left(body["key"])) == {"requests_per_minute", "requests_per_day"}
    [minute, _] = body["user"]["limits"]
    assert (minute["used"], minute["resets_in_seconds"], minute["resets_at"]) == (0, None, None)
    assert show(budgets, budgets.api_key).body["user"] is None


def test_what_was_added_to_the_month_is_left_too(server: ChatServer, budgets: RestFunction) -> None:
    key = server.tenant("class", budget_usd_per_month=1)
    limit = budget_limit(10**9)
    server.app.ledger.reserve(tenant_scope("class"), (limit,), {BUDGET: 4 * 10**8})
    server.app.ledger.add_to_month(tenant_scope("class"), limit, 10**9)
    assert left(show(budgets, key).body["tenant"]) == {"budget_usd_per_month": (2, 0.4, 1.6)}


def test_an_operator_sees_each_key_of_its_tenant_page_by_page(server: ChatServer, budgets: RestFunction) -> None:
    operator = server.key("acme", role="operator")
    keys = {key_id(server.key("acme", limits={"budget_usd_per_month": number})): number for number in range(1, 5)}
    ask(server, budgets.api_key)
    seen: dict[str, Any] = {}
    page: dict[str, str] = {"limit": "4"}
    while True:
        body = show(budgets, operator, **page).body
        seen |= {allowance["id"]: left(allowance) for allowance in body["keys"]}
        if not body["has_more"]:
            break
        page["after"] = body["keys"][-1]["id"]
    assert seen.keys() == {*keys, key_id(operator), key_id(budgets.api_key)}
    assert {name: seen[name]["budget_usd_per_month"] for name in keys} == {
        name: (number, 0, number) for name, number in keys.items()
    }
    assert seen[key_id(budgets.api_key)]["requests_per_day"] == (14_400, 1, 14_399)
    one = next(iter(keys))
    assert show(budgets, operator, key=one).body["key"]["id"] == one


def test_others_keys_are_not_there(server: ChatServer, budgets: RestFunction, aws: Aws) -> None:
    stranger = server.tenant("globex", budget_usd_per_month=3)
    operator = server.key("acme", role="operator")
    for api_key, key in (
        (budgets.api_key, key_id(operator)),
        (operator, key_id(stranger)),
        (operator, "nobody"),
        (aws.admin_key, "nobody"),
    ):
        answer = show(budgets, api_key, key=key)
        assert (answer.status, answer.error["param"]) == (404, "id")
    body = show(budgets, aws.admin_key, key=key_id(stranger)).body
    assert left(body["tenant"]) == {"budget_usd_per_month": (3, 0, 3)}
    assert [each["id"] for each in body["keys"]] == [key_id(stranger)]
    assert show(budgets, aws.admin_key).body["keys"] == []
    assert show(budgets, "").status == 401
