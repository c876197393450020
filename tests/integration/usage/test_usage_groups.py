"""GET /v1/usage and GET /api/v1/ai/usage/summary, through the function's own handler."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.usage.app import ROUTES
from sluice.chat import Usage
from sluice.usage import grouping
from sluice.usage.records import UsageRecord
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.rest_function import RestAnswer, RestFunction
from tests.tasks import Tasks
from tests.tenants import key_id

AT = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)


@pytest.fixture
def usage(aws: Aws) -> RestFunction:
    """The function usage, with an operator's key of the tenant `acme`."""
    function = RestFunction(ROUTES)
    function.tenant("acme")
    function.api_key = function.key(role="operator")
    return function


def used(function: RestFunction, caller: str = "k1", *, tenant: str = "acme", at: datetime = AT, **more: Any) -> None:
    fields = {
        "provider": "groq",
        "model": "llama",
        "usage": Usage(100, 20),
        "cost_nanousd": 1_500,
        "response_time_ms": 250,
        "credential": "groq-1",
        **more,
    }
    function.app.usage_records.add(UsageRecord(tenant=tenant, caller=caller, **fields), at)


def ask(usage: RestFunction, api_key: str | None = None, **query: str) -> RestAnswer:
    named = {"from": "2026-03-01", "to": "2026-03-31"} | query
    return usage.send("GET /v1/usage", query=named, api_key=api_key)


def counts(answer: RestAnswer, *names: str) -> dict[Any, int]:
    assert answer.status == 200
    return {tuple(each[name] for name in names): each["requests"] for each in answer.body["data"]}


def test_usage_is_grouped_by_all_that_it_is_told_apart_by(usage: RestFunction) -> None:
    used(usage)
    used(usage, at=AT + timedelta(hours=1), operation="task", task="quiz", user="ada")
    used(usage, "k2", provider="huggingface", model="org/large", credential="hf-1", is_error=True, cost_nanousd=7)
    used(usage, "k2", is_cache_hit=True, usage=Usage(0, 0), cost_nanousd=0)
    for by, expected in {
        "operation": {("chat",): 3, ("task",): 1},
        "provider": {("groq",): 3, ("huggingface",): 1},
        "credential": {("groq-1",): 3, ("hf-1",): 1},
        "model": {("llama",): 3, ("org/large",): 1},
        "key": {("k1",): 2, ("k2",): 2},
        "user": {("",): 3, ("ada",): 1},
        "task": {("",): 3, ("quiz",): 1},
        "tenant": {("acme",): 4},
        "day": {("2026-03-09",): 3, ("2026-03-10",): 1},
        "hour": {("2026-03-09T23:00:00Z",): 3, ("2026-03-10T00:00:00Z",): 1},
        "key,model": {("k1", "llama"): 2, ("k2", "llama"): 1, ("k2", "org/large"): 1},
    }.items():
        answer = ask(usage, group_by=by)
        assert counts(answer, *by.split(",")) == expected
        assert answer.body["totals"]["cost_nanousd"] == 3_007
        assert sum(each["cost_nanousd"] for each in answer.body["data"]) == 3_007
    assert answer.body["totals"] == {
        "requests": 4,
        "prompt_tokens": 300,
        "completion_tokens": 60,
        "total_tokens": 360,
        "cost_usd": 0.000003007,
        "infra_cost_usd": 0,
        "cache_hits": 1,
        "errors": 1,
        "guard_calls": 0,
        "average_response_time_ms": 250,
        "average_guard_time_ms": None,
        "cost_nanousd": 3_007,
    }
    assert (answer.body["start"], answer.body["end"]) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
    assert answer.body["next_page"] is None


def test_without_groups_there_are_totals(usage: RestFunction) -> None:
    used(usage)
    answer = ask(usage)
    assert (answer.body["data"], answer.body["totals"]["requests"]) == ([], 1)


def test_filters_let_nothing_else_count(usage: RestFunction) -> None:
    used(usage, user="ada", task="quiz", operation="task")
    used(usage, user="bob")
    used(usage, "k2", user="ada", provider="huggingface", model="large", credential="hf-1")
    for query, requests in (
        ({"user": "ada"}, 2),
        ({"user": "ada", "key": "k1"}, 1),
        ({"user": ""}, 0),
        ({"key": "k1"}, 2),
        ({"task": ""}, 2),
        ({"operation": "task"}, 1),
        ({"provider": "huggingface"}, 1),
        ({"model": "large", "credential": "hf-1"}, 1),
        ({"key": "k"}, 0),
        ({"key": "#" * 64, "user": "\U0001f600" * 128}, 0),
    ):
        assert ask(usage, **query).body["totals"]["requests"] == requests


def test_a_caller_sees_its_own_an_operator_its_tenant_and_an_admin_all(aws: Aws, usage: RestFunction) -> None:
    mine, stranger = usage.key(), usage.tenant("globex")
    used(usage, key_id(mine), user="ada")
    used(usage, "colleague", user="ada")
    used(usage, key_id(stranger), tenant="globex")
    used(usage, "k", tenant="gone")
    by_key = {"group_by": "tenant,key"}
    assert counts(ask(usage, mine, **by_key), "tenant", "key") == {("acme", key_id(mine)): 1}
    assert ask(usage, mine, user="ada").body["totals"]["requests"] == 1
    assert counts(ask(usage, **by_key), "key") == {(key_id(mine),): 1, ("colleague",): 1}
    assert counts(ask(usage, stranger, **by_key), "tenant") == {("globex",): 1}
    admin = aws.admin_key
    assert counts(ask(usage, admin, group_by="tenant"), "tenant") == {("acme",): 2, ("globex",): 1}
    assert counts(ask(usage, admin, group_by="tenant", tenant="gone"), "tenant") == {("gone",): 1}
    for api_key, query, param in (
        (mine, {"key": "colleague"}, "id"),
        (mine, {"tenant": "globex"}, "tenant"),
        (None, {"tenant": "globex"}, "tenant"),
    ):
        answer = ask(usage, api_key, **query)
        assert (answer.status, answer.error["param"]) == (404, param)


def test_a_table_is_given_where_one_is_asked_for(usage: RestFunction) -> None:
    used(usage, user='ada, "the first"', cost_nanousd=2_000)
    used(usage, user="=1+1")
    by_format = ask(usage, group_by="user,model", format="csv")
    by_header = usage.send(
        "GET /v1/usage",
        query={"from": "2026-03-01", "to": "2026-03-31", "group_by": "user,model"},
        headers={"Accept": "text/csv, */*"},
    )
    assert by_format.headers["content-type"] == ["text/csv; charset=utf-8"]
    assert by_header.raw == by_format.raw
    rows = list(csv.DictReader(io.StringIO(by_format.raw)))
    assert [row["user"] for row in rows] == ["'=1+1", 'ada, "the first"']
    assert (rows[1]["model"], rows[1]["requests"], rows[1]["cost_usd"]) == ("llama", "1", "0.000002000")
    assert ask(usage, group_by="user", format="json").body["data"][0]["user"] == "=1+1"


def test_what_is_too_much_for_one_answer_goes_on_in_the_next(
    aws: Aws, usage: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MOST_SUMS", 2)
    usage.tenant("aaa")
    usage.tenant("zzz")
    for number, tenant in enumerate(["aaa", "acme", "zzz"] * 4):
        used(usage, tenant=tenant, at=AT + timedelta(days=number), user=str(number % 2))
    admin = aws.admin_key
    requests, pages = 0, 0
    page: dict[str, str] = {}
    while True:
        answer = ask(usage, admin, group_by="tenant", **page)
        requests += answer.body["totals"]["requests"]
        pages += 1
        if answer.body["next_page"] is None:
            break
        page = {"page": answer.body["next_page"]}
        table = ask(usage, admin, group_by="tenant", format="csv", **page)
        assert table.status == 200
    assert (requests, pages) == (12, 7)  # the last has days without usage
    assert ask(usage, admin, format="csv").headers["x-sluice-next-page"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "day,,model"}, "group_by"),
        ({"range": "2d"}, "range"),
        ({"range": "7d"}, "range"),  # with from and to
        ({"page": "2026-02-30,acme"}, "page"),
        ({"page": "tomorrow"}, "page"),
        ({"format": "xml"}, "format"),
        ({"colour": "red"}, "colour"),
        ({"to": "2026-07-01"}, "from"),
    ],
)
def test_wrong_questions_are_refused_at_their_field(usage: RestFunction, query: dict[str, str], param: str) -> None:
    answer = ask(usage, **query)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_the_last_days_are_counted_by_the_hour(usage: RestFunction) -> None:
    now = datetime.now(UTC)
    for hours in (0, 22, 26, 24 * 6, 24 * 8, 24 * 29, 24 * 60, 24 * 91):
        used(usage, at=now - timedelta(hours=hours))
    for days, requests in (("1d", 2), ("7d", 4), ("30d", 6), ("90d", 7)):
        answer = usage.send("GET /v1/usage", query={"range": days})
        assert answer.body["totals"]["requests"] == requests
        summary = usage.send("GET /api/v1/ai/usage/summary", query={"range": days})
        assert summary.body["totalRequests"] == requests


def test_the_summary_has_the_older_dashboard_s_names(usage: RestFunction) -> None:
    now = datetime.now(UTC)
    used(usage, at=now, cost_nanousd=1_500_000_000)
    used(usage, at=now, provider="huggingface", cost_nanousd=500_000_000, usage=Usage(1, 2))
    caller = usage.key()
    used(usage, key_id(caller), at=now, cost_nanousd=0)
    body = usage.send("GET /api/v1/ai/usage/summary").body
    dates = body.pop("dateRange")
    assert body == {
        "object": "usage.summary",
        "totalCost": 2.0,
        "totalTokens": 243,
        "totalRequests": 3,
        "avgCostPerRequest": pytest.approx(2 / 3),
        "providerBreakdown": {
            "groq": {"cost": 1.5, "tokens": 240, "requests": 2},
            "huggingface": {"cost": 0.5, "tokens": 3, "requests": 1},
        },
    }
    assert datetime.fromisoformat(dates["end"]) - datetime.fromisoformat(dates["start"]) >= timedelta(days=7)
    assert usage.send("GET /api/v1/ai/usage/summary", api_key=caller).body["totalRequests"] == 1
    nobody = usage.send("GET /api/v1/ai/usage/summary", query={"range": "1d"}, api_key=usage.tenant("new")).body
    assert (nobody["totalRequests"], nobody["avgCostPerRequest"], nobody["providerBreakdown"]) == (0, 0, {})
    assert usage.send("GET /api/v1/ai/usage/summary", query={"range": "2d"}).status == 400


def test_what_is_asked_of_tasks_is_told_apart(tasks: Tasks, fake: FakeProvider) -> None:
    usage = RestFunction(ROUTES, tasks.api_key)
    inputs = {"concept": "recursion", "language": "Python"}
    for _ in range(2):
        assert tasks.send("POST /v1/tasks/concept_explanation", {"inputs": inputs, "user": "ada"}).status == 200
    answer = usage.send("GET /v1/usage", query={"range": "1d", "group_by": "operation,task,credential,user"})
    [group] = answer.body["data"]
    names = ("operation", "task", "credential", "user", "requests", "cache_hits")
    assert [group[name] for name in names] == ["task", "concept_explanation", "fake-1", "ada", 2, 1]
