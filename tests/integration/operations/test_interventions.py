"""What admins do to the quotas by hand, through the function's own handler, of a chat server that feels it."""

import time
from typing import Any

import pytest

from functions.operations.app import ROUTES
from sluice.errors import StorageUnavailableError
from sluice.quota.circuit import Verdict
from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET, budget_limit, deployment_limit
from sluice.quota.windows import CALENDAR_MONTH
from sluice.storage.client import DynamoDB
from sluice.tenants.audit_log import AuditQuery
from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.rest_function import RestAnswer, RestFunction
from tests.tenants import make_tenant

DEPLOYMENT = "fake-1#small"
SCOPE = f"deployment#{DEPLOYMENT}"
RESET = {"deployment": DEPLOYMENT}
MINUTE = deployment_limit("requests_per_minute", 100)


@pytest.fixture
def operations(chat: ChatServer) -> RestFunction:
    """The function, with the admin key."""
    return RestFunction(ROUTES, chat.aws.admin_key)


def ask(chat: ChatServer, api_key: str | None = None) -> Any:
    """A fresh process's answer to a new question."""
    chat.restart()
    question = {"model": "small", "messages": [{"role": "user", "content": f"At {time.time_ns()}?"}]}
    return chat.post(question, api_key=api_key)


def records(operations: RestFunction) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The audit log's records of quotas: action, target, outcome, and what was changed to what."""
    page = operations.app.audit_log.page(AuditQuery(), page=None, limit=100)
    return [
        (each.act.action, each.act.target, each.outcome, {name: c.after for name, c in each.act.changes.items()})
        for each in page.records
        if each.act.action.startswith(("deployment.", "budget."))
    ]


def test_a_blocked_deployment_is_let_in_again(chat: ChatServer, operations: RestFunction) -> None:
    ledger = Ledger(chat.aws.table("QUOTA_TABLE"))
    ledger.block(SCOPE, ledger.now_ms() + 600_000)
    assert ask(chat).status_code == 429
    answer = operations.send("POST /v1/providers/reset", RESET)
    assert answer.status == 200, answer.raw
    assert answer.body == {
        "object": "deployment",
        "deployment": DEPLOYMENT,
        "circuit": "CLOSED",
        "consecutive_failures": 0,
        "blocked_for_seconds": 0,
    }
    assert ask(chat).status_code == 200
    assert records(operations) == [("deployment.reset", DEPLOYMENT, "done", {"blocked_for_seconds": 0})]


def test_an_open_circuit_is_closed_and_what_was_used_stays_counted(chat: ChatServer, operations: RestFunction) -> None:
    ledger = Ledger(chat.aws.table("QUOTA_TABLE"))
    for _ in range(5):
        taken = ledger.reserve(SCOPE, (MINUTE,), {MINUTE.name: 1})
        ledger.settle(taken, {}, verdict=Verdict.FAILURE)
    answer = operations.send("POST /v1/providers/reset", RESET)
    assert (answer.body["circuit"], answer.body["consecutive_failures"]) == ("CLOSED", 0)
    seen = ledger.look_at([SCOPE])[SCOPE]
    assert seen.status(MINUTE, ledger.now_ms()).used == 5
    [(_, _, _, changes)] = records(operations)
    assert changes == {"circuit": "CLOSED", "consecutive_failures": 0}


def test_a_deployment_that_was_never_used_gets_no_item(chat: ChatServer, operations: RestFunction, aws: Aws) -> None:
    assert chat
    assert operations.send("POST /v1/providers/reset", RESET).status == 200
    assert aws.items("QUOTA_TABLE") == []


@pytest.mark.parametrize("name", ["fake-1#other", "fake-1", "tenant#acme", "\0", "x" * 512])
def test_what_is_no_deployment_is_not_found_and_not_recorded(operations: RestFunction, name: str) -> None:
    answer = operations.send("POST /v1/providers/reset", {"deployment": name})
    assert (answer.status, answer.error["param"]) == (404, "deployment")
    assert records(operations) == []


def test_a_month_is_raised_begun_anew_and_lowered(chat: ChatServer, operations: RestFunction) -> None:
    key = make_tenant(operations.app, "poor", budget_usd_per_month=0.000000001)
    assert ask(chat, key).status_code == 429
    raised = operations.send("POST /v1/tenants/poor/budget/add", {"usd": 2.5})
    assert raised.status == 200, raised.raw
    assert (raised.body["added_usd"], raised.body["used_usd"]) == (2.5, 0)
    assert ask(chat, key).status_code == 200
    used = operations.send("GET /v1/tenants/poor/budget").body
    assert used["used_usd"] > 0
    assert used["remaining_usd"] == pytest.approx(2.500000001 - used["used_usd"])
    assert 0 < used["resets_in_seconds"] <= 31 * 86_400
    again = operations.send("POST /v1/tenants/poor/budget/add", {"usd": 2.5})
    assert again.body["added_usd"] == 2.5
    anew = operations.send("POST /v1/tenants/poor/budget/reset")
    assert (anew.body["used_usd"], anew.status) == (0, 200)
    assert operations.send("POST /v1/tenants/poor/budget/add", {"usd": 0}).body["added_usd"] == 0
    assert ask(chat, key).status_code == 429
    assert [(action, outcome) for action, _, outcome, _ in records(operations)] == [
        ("budget.raised", "done"),
        ("budget.restarted", "done"),
        ("budget.raised", "done"),
        ("budget.raised", "done"),
    ]


def test_a_month_can_be_begun_anew_only_so_often(operations: RestFunction) -> None:
    make_tenant(operations.app, "poor", budget_usd_per_month=1)
    ledger, limit = operations.app.ledger, budget_limit(1_000_000_000)
    ledger.reserve("tenant#poor", (limit,), {BUDGET: 1})
    for _ in range(CALENDAR_MONTH.first_slice(1) - 1):
        ledger.restart_month("tenant#poor", limit)
    answer = operations.send("POST /v1/tenants/poor/budget/reset")
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    assert [outcome for _, _, outcome, _ in records(operations)] == ["failed"]


def test_a_budget_that_is_not_there_is_not_raised(operations: RestFunction) -> None:
    make_tenant(operations.app, "rich")
    for tenant, status in (("rich", 409), ("nobody", 404), ("admin", 404), ("%00", 404)):
        sent = [
            operations.send(f"GET /v1/tenants/{tenant}/budget"),
            operations.send(f"POST /v1/tenants/{tenant}/budget/add", {"usd": 1}),
            operations.send(f"POST /v1/tenants/{tenant}/budget/reset"),
        ]
        assert [answer.status for answer in sent] == [status] * 3
    assert records(operations) == []


@pytest.mark.parametrize("usd", [-1, 1e7, 0.0000000001, "a lot", None, True])
def test_a_wrong_amount_is_refused(operations: RestFunction, usd: object) -> None:
    make_tenant(operations.app, "poor", budget_usd_per_month=1)
    answer = operations.send("POST /v1/tenants/poor/budget/add", {"usd": usd})
    assert (answer.status, answer.error["param"]) == (400, "usd")


def test_operators_see_their_tenant_s_budget_and_change_none(operations: RestFunction) -> None:
    make_tenant(operations.app, "zoo", budget_usd_per_month=1)
    operator = operations.key("zoo", role="operator")

    def send(route: str, body: Any = None) -> RestAnswer:
        return operations.send(route, body, api_key=operator)

    assert send("GET /v1/tenants/zoo/budget").status == 200
    assert send("GET /v1/tenants/acme/budget").status == 404
    assert send("POST /v1/tenants/zoo/budget/add", {"usd": 1}).status == 403
    assert send("POST /v1/tenants/zoo/budget/reset").status == 403
    assert send("POST /v1/providers/reset", RESET).status == 403
    assert records(operations) == []


def test_what_can_t_be_recorded_is_not_done(
    chat: ChatServer, operations: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tenant(operations.app, "poor", budget_usd_per_month=1)
    ledger = Ledger(chat.aws.table("QUOTA_TABLE"))
    ledger.block(SCOPE, ledger.now_ms() + 600_000)
    before = chat.aws.items("QUOTA_TABLE")
    call = DynamoDB.call

    def without_transactions(self: DynamoDB, operation: str, request: Any, **options: Any) -> Any:
        if operation == "TransactWriteItems":
            raise StorageUnavailableError("DynamoDB is away")
        return call(self, operation, request, **options)

    monkeypatch.setattr(DynamoDB, "call", without_transactions)
    sent = [
        operations.send("POST /v1/providers/reset", RESET),
        operations.send("POST /v1/tenants/poor/budget/add", {"usd": 1}),
        operations.send("POST /v1/tenants/poor/budget/reset"),
    ]
    assert [answer.status for answer in sent] == [503] * 3
    assert chat.aws.items("QUOTA_TABLE") == before
