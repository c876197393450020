"""GET /api/v1/llm/usage/{user_id}, through the function's own handler."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sluice.api.usage import ROUTES
from sluice.chat import Usage
from sluice.usage.records import UsageRecord
from sluice.usage.sums import Use
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.rest_function import RestAnswer, RestFunction
from tests.tenants import key_id

ZERO = {
    "requests": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "total_tokens": 0,
    "cost_usd": 0,
    "infra_cost_usd": 0,
    "cache_hits": 0,
    "errors": 0,
    "average_response_time_ms": None,
    "guard_calls": 0,
    "average_guard_time_ms": None,
}


@pytest.fixture
def server(aws: Aws) -> Iterator[ChatServer]:
    """The chat API without any provider, for its keys."""
    with serving(aws) as running:
        yield running


@pytest.fixture
def usage(server: ChatServer) -> RestFunction:
    return RestFunction(ROUTES, server.api_key)


def used(
    server: ChatServer, caller: str, *, tenant: str = "acme", user: str = "", at: datetime | None = None, **more: Any
) -> None:
    fields = {
        "provider": "groq",
        "model": "llama",
        "usage": Usage(100, 20),
        "cost_nanousd": 1_500,
        "response_time_ms": 250,
        **more,
    }
    server.app.usage_records.add(
        UsageRecord(tenant=tenant, caller=caller, user=user, **fields), at or datetime.now(UTC)
    )


def show(usage: RestFunction, name: str, *, api_key: str | None = None, **query: str) -> RestAnswer:
    named = {key.rstrip("_"): value for key, value in query.items()}
    return usage.send(f"GET /api/v1/llm/usage/{quote(name, safe='')}", query=named or None, api_key=api_key)


def requests(answer: RestAnswer) -> int:
    assert answer.status == 200
    return int(answer.body["totals"]["requests"])


def test_a_report_has_totals_by_model_and_by_day(server: ChatServer, usage: RestFunction) -> None:
    mine = key_id(server.api_key)
    at = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
    used(server, mine, at=at)
    used(server, mine, at=at - timedelta(hours=5), is_error=True)
    used(
        server,
        mine,
        at=at + timedelta(hours=1),
        is_cache_hit=True,
        usage=Usage(0, 0),
        cost_nanousd=0,
        response_time_ms=10,
    )
    used(server, mine, at=at, provider="huggingface", model="org/large", usage=Usage(7, 3), cost_nanousd=123_456_789)
    used(server, mine, at=at - timedelta(days=9))  # before the first day
    body = show(usage, mine, from_="2026-03-01", to="2026-03-10").body
    assert (body["user_id"], body["tenant"], body["from"], body["to"]) == (mine, "acme", "2026-03-01", "2026-03-10")
    assert body["totals"] == {
        "requests": 4,
        "prompt_tokens": 207,
        "completion_tokens": 43,
        "total_tokens": 250,
        "cost_usd": 0.123459789,
        "infra_cost_usd": 0,
        "cache_hits": 1,
        "errors": 1,
        "average_response_time_ms": 190,
        "guard_calls": 0,
        "average_guard_time_ms": None,
    }
    by_model = [(each["provider"], each["model"], each["requests"], each["cost_usd"]) for each in body["by_model"]]
    assert by_model == [("groq", "llama", 3, 0.000003), ("huggingface", "org/large", 1, 0.123456789)]
    by_day = [(each["day"], each["requests"], each["cache_hits"]) for each in body["by_day"]]
    assert by_day == [("2026-03-09", 3, 0), ("2026-03-10", 1, 1)]


def test_without_days_it_is_the_month_so_far(server: ChatServer, usage: RestFunction) -> None:
    mine, today = key_id(server.api_key), datetime.now(UTC).date()
    first = today.replace(day=1)
    used(server, mine, at=datetime(first.year, first.month, 1, tzinfo=UTC))
    used(server, mine, at=datetime(first.year, first.month, 1, tzinfo=UTC) - timedelta(seconds=1))
    answer = show(usage, mine)
    assert requests(answer) == 1
    assert (answer.body["from"], answer.body["to"]) == (first.isoformat(), today.isoformat())


def test_a_key_that_was_never_used_has_used_nothing(server: ChatServer, usage: RestFunction) -> None:
    answer = show(usage, key_id(server.api_key))
    assert (answer.status, answer.body["totals"]) == (200, ZERO)
    assert answer.body["by_day"] == answer.body["by_model"] == []


@pytest.mark.parametrize("user", ["pupil-1", "ada@school.example", "a#b%23 ü", "100%"])
def test_a_caller_sees_itself_and_its_users_and_nobody_else(server: ChatServer, usage: RestFunction, user: str) -> None:
    mine, colleague, stranger = server.api_key, server.key("acme"), server.tenant("globex")
    used(server, key_id(mine))
    used(server, key_id(mine), user=user)
    used(server, key_id(mine), user=user)
    used(server, key_id(mine), user=f"{user}#")
    used(server, key_id(colleague), user="theirs")
    used(server, key_id(stranger), tenant="globex", user=user)
    assert requests(show(usage, key_id(mine))) == 4
    assert requests(show(usage, user)) == 2
    assert requests(show(usage, user, api_key=stranger)) == 1
    for name in ("theirs", "nobody", key_id(colleague), key_id(stranger)):
        answer = show(usage, name)
        assert (answer.status, answer.body["error"]["param"]) == (404, "user_id")
    for tenant in ("globex", "none-such"):
        answer = show(usage, user, tenant=tenant)
        assert (answer.status, answer.body["error"]["param"]) == (404, "tenant")


def test_an_operator_sees_its_tenant_and_an_admin_every_one(server: ChatServer, usage: RestFunction) -> None:
    one, two, stranger = server.api_key, server.key("acme"), server.tenant("globex")
    operator, admin = server.key("acme", role="operator"), server.aws.admin_key
    used(server, key_id(one), user="pupil-1")
    used(server, key_id(two), user="pupil-1")
    used(server, key_id(two))
    used(server, key_id(stranger), tenant="globex", user="pupil-1")
    used(server, key_id(stranger), tenant="globex", user="pupil-2")
    assert requests(show(usage, key_id(two), api_key=operator)) == 2
    assert requests(show(usage, "pupil-1", api_key=operator)) == 2
    for name in ("pupil-2", key_id(stranger)):
        assert show(usage, name, api_key=operator).status == 404
    assert show(usage, "pupil-2", api_key=operator, tenant="globex").status == 404
    assert requests(show(usage, key_id(stranger), api_key=admin)) == 2
    assert requests(show(usage, "pupil-1", api_key=admin, tenant="globex")) == 1
    assert requests(show(usage, "pupil-1", api_key=admin, tenant="acme")) == 2
    assert show(usage, key_id(stranger), api_key=admin, tenant="acme").status == 404
    assert show(usage, "pupil-1", api_key=admin).status == 404
    assert requests(show(usage, "admin", api_key=admin)) == 0


def test_nobody_gets_in_without_a_key(usage: RestFunction) -> None:
    assert show(usage, "pupil-1", api_key="").status == 401


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "20"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"from": "2026-01-01", "to": "2026-04-03"}, "from"),
        ({"from": "1026-01-01"}, "from"),
        ({"since": "2026-03-02"}, "since"),
    ],
)
def test_wrong_days_are_refused_at_their_field(usage: RestFunction, query: dict[str, str], param: str) -> None:
    answer = usage.send("GET /api/v1/llm/usage/pupil-1", query=query)
    assert (answer.status, answer.body["error"]["param"]) == (400, param)


def test_92_days_fit(server: ChatServer, usage: RestFunction) -> None:
    mine = key_id(server.api_key)
    for day in (date(2026, 1, 1), date(2026, 2, 14), date(2026, 4, 2)):
        used(server, mine, at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    answer = show(usage, mine, from_="2026-01-01", to="2026-04-02")
    assert requests(answer) == 3
    assert [each["day"] for each in answer.body["by_day"]] == ["2026-01-01", "2026-02-14", "2026-04-02"]


def test_sums_over_many_pages_are_whole(server: ChatServer) -> None:
    at = datetime(2026, 3, 9, 12, tzinfo=UTC)
    with ThreadPoolExecutor(8) as pool:
        # Names of 128 characters of four bytes: together more than the megabyte that a Query answers at once.
        names = [f"{number:04}" + "\U0001f600" * 124 for number in range(1_600)]
        list(pool.map(lambda name: used(server, "one", user=name, at=at), names))
    found = list(server.app.usage_reader.sums("acme", at.date(), at.date(), caller="one"))
    assert [each.key.user for each in found] == names
    assert sum((each.use for each in found), Use()).requests == 1_600
    assert [each.key.user for each in server.app.usage_reader.sums("acme", at.date(), at.date(), user=names[7])] == [
        names[7]
    ]


def test_what_is_asked_is_what_is_shown(chat: ChatServer, fake: FakeProvider) -> None:
    usage = RestFunction(ROUTES, chat.api_key)

    def ask(user: str, prompt: str) -> dict[str, Any]:
        answer = httpx.post(
            f"{chat.root_url}/api/v1/llm/completion",
            json={"prompt": prompt, "user_id": user},
            headers={"authorization": f"Bearer {chat.api_key}"},
            timeout=30,
        )
        found: dict[str, Any] = answer.json()
        return found

    first, _, second = ask("ada", "one"), ask("ada", "one"), ask("ada", "two")
    ask("bob", "one")
    chat.post({"model": "auto", "messages": [{"role": "user", "content": "three"}], "metadata": {"user": "bob"}})
    totals = show(usage, "ada").body["totals"]
    assert (totals["requests"], totals["cache_hits"], totals["errors"]) == (3, 1, 0)
    assert totals["total_tokens"] == first["tokens_used"] + second["tokens_used"]
    assert totals["cost_usd"] == pytest.approx(first["cost_usd"] + second["cost_usd"])
    assert requests(show(usage, "bob")) == 2
    assert requests(show(usage, key_id(chat.api_key))) == 5
    assert len(fake.requests()) == 3
