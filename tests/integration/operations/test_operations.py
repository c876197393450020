"""What operators see and do, through the function's own handler, of a chat server with a fake provider behind it."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.operations.app import ROUTES as FUNCTION_ROUTES
from sluice.errors import StorageUnavailableError
from sluice.quota.item import BlockReason
from sluice.tenants.audit import Action
from sluice.tenants.audit_log import AuditLog, AuditQuery
from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.dynamodb_calls import counting
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction

ROUTES = [
    "GET /api/groq/quota",
    "GET /api/groq/health",
    "GET /api/groq/cache/stats",
    "POST /api/groq/cache/clear",
    "GET /v1/providers",
]


@pytest.fixture
def operations(chat: ChatServer) -> RestFunction:
    """The function, with an operator's key of the tenant `acme`."""
    return RestFunction(FUNCTION_ROUTES, chat.key("acme", role="operator"))


def ask(chat: ChatServer, question: str, **more: Any) -> str:
    answer = chat.post(
        {"model": "small", "messages": [{"role": "user", "content": question}]},
        api_key=more.pop("api_key", None),
        headers=more,
    )
    assert answer.status_code == 200
    return answer.headers["x-sluice-cache"]


def store_one_more(chat: ChatServer) -> None:
    """A process adds what it has stored at most once a second, and with the next answer that it stores."""
    time.sleep(1.05)
    assert ask(chat, f"one more at {time.time()}") == "miss"


def stats(operations: RestFunction, **query: str) -> dict[str, Any]:
    answer = operations.send("GET /api/groq/cache/stats", query=query or None)
    assert answer.status == 200
    found: dict[str, Any] = answer.body
    return found


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "GET /api/groq/health"])
def test_only_operators_and_admins_are_let_in(chat: ChatServer, operations: RestFunction, route: str) -> None:
    for key, status in (("", 401), ("nonsense", 401), (chat.api_key, 403), (chat.aws.admin_key, 200)):
        assert operations.send(route, api_key=key).status == status
    assert operations.send(route).status == 200


def test_quotas_show_what_was_used_and_how_much_of_it_that_is(chat: ChatServer, operations: RestFunction) -> None:
    ask(chat, "one")
    ask(chat, "two")
    ask(chat, "two")  # cached: not the deployment's
    [row] = operations.send("GET /api/groq/quota").body["data"]
    assert (row["deployment"], row["provider"], row["model"]) == ("fake-1#small", "gateway", "small")
    assert list(row["limits"]) == ["rpm", "rpd", "tpm", "tpd"]
    rpm, tpd = row["limits"]["rpm"], row["limits"]["tpd"]
    assert (rpm["used"], rpm["limit"], rpm["percentage"], rpm["remaining"], rpm["warning"]) == (2, 100, 2, 98, None)
    assert 0 < rpm["resets_in_seconds"] <= 62
    tokens = chat.counted()["deployment"]["tokens_per_day"]
    assert (tpd["used"], tpd["limit"]) == (tokens, 1_000_000)
    assert row["warnings"] == []


@pytest.mark.parametrize(
    ("asked", "said"), [(7, None), (8, "over 80 % used"), (9, "over 90 % used"), (10, "exhausted")]
)
def test_a_limit_warns_at_80_and_90_percent_and_when_it_is_exhausted(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction, asked: int, said: str | None
) -> None:
    limits = {"requests_per_minute": 10, "requests_per_day": 1_000}
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(limits=limits)}))
    chat.restart()
    for number in range(asked):
        ask(chat, f"question {number}")
    answer = operations.send("GET /api/groq/quota").body
    [row] = answer["data"]
    assert row["limits"]["rpm"]["warning"] == said
    assert row["limits"]["tpm"] is row["limits"]["tpd"] is None
    expected = [] if said is None else [f"fake-1#small: requests_per_minute is {said}"]
    assert row["warnings"] == answer["warnings"] == expected


def test_all_deployments_are_read_in_one_request_each(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    names = [f"model-{number}" for number in range(30)]
    aws.set_credentials(gateway(fake, "fake-1", models={name: model() for name in names}))
    chat.restart()
    assert chat.post({"model": "model-7", "messages": [{"role": "user", "content": "Hi"}]}).status_code == 200
    operations.send("GET /v1/providers")
    for route in ("quota", "health"):
        with counting() as sent:
            answer = operations.send(f"GET /api/groq/{route}").body
        assert sent == ["BatchGetItem"]
        assert len(answer["data"]) == 30
    used = {row["model"]: row["limits"]["rpm"]["used"] for row in operations.send("GET /api/groq/quota").body["data"]}
    assert {name for name, requests in used.items() if requests} == {"model-7"}


@pytest.mark.parametrize("is_caller", [False, True])
def test_health_without_an_operator_s_key_is_the_status_alone(
    chat: ChatServer, fake: FakeProvider, operations: RestFunction, is_caller: bool
) -> None:
    key = chat.api_key if is_caller else ""
    fresh = operations.send("GET /api/groq/health", api_key=key)
    assert (fresh.status, fresh.body) == (200, {"status": "healthy"})
    fake.add_fault("500", times=None)
    with ThreadPoolExecutor(6) as pool:
        body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
        assert {answer.status_code for answer in pool.map(chat.post, [body] * 6)} == {503}
    operations.restart()
    seen = operations.send("GET /api/groq/health", api_key=key)
    assert (seen.status, seen.body) == (200, {"status": "unhealthy"})
    for word in ("fake-1", "small", "gateway", "acme", "credential"):
        assert word not in seen.raw


def test_health_of_no_deployment_is_unhealthy_to_everybody(aws: Aws, operations: RestFunction) -> None:
    aws.set_credentials()
    operations.restart()
    assert operations.send("GET /api/groq/health", api_key="").body == {"status": "unhealthy"}


@pytest.mark.parametrize("key", ["nonsense", "sl-unknown-" + "x" * 43])
def test_health_refuses_a_key_that_is_none(operations: RestFunction, key: str) -> None:
    refused = operations.send("GET /api/groq/health", api_key=key)
    assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")


def test_health_asked_again_and_again_without_a_key_reads_nothing(chat: ChatServer, operations: RestFunction) -> None:
    operations.send("GET /api/groq/health", api_key="")
    ask(chat, "one")
    operations.send("GET /api/groq/health", api_key="")
    with counting() as sent:
        for _ in range(10):
            assert operations.send("GET /api/groq/health", api_key="").status == 200
    assert sent == []


def test_health_follows_what_happens(aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction) -> None:
    aws.set_credentials(gateway(fake, "fake-1"), gateway(fake, "fake-2", models={"other": model("smart")}))
    chat.restart()
    operations.restart()
    before = operations.send("GET /api/groq/health").body
    assert before["status"] == "healthy"
    assert [(row["health_score"], row["response_time_ms"], row["circuit"]) for row in before["data"]] == [
        (1, None, "CLOSED")
    ] * 2
    ask(chat, "one")
    [row, _] = operations.send("GET /api/groq/health").body["data"]
    assert (row["is_healthy"], row["success_rate"], row["consecutive_failures"]) == (True, 1, 0)
    assert row["response_time_ms"] > 0
    fake.add_fault("500", times=None)
    body = {"model": "small", "messages": [{"role": "user", "content": "two"}], "seed": 1}
    with ThreadPoolExecutor(6) as pool:
        statuses = set(pool.map(lambda seed: chat.post(body | {"seed": seed}).status_code, range(6)))
    assert statuses == {503}
    after = operations.send("GET /api/groq/health").body
    assert after["status"] == "degraded"
    [row, other] = after["data"]
    assert (row["is_healthy"], row["circuit"]) == (False, "OPEN")
    assert row["consecutive_failures"] == 5
    # The rate is written by whoever settles last: of failures at once, not each is in it.
    assert row["health_score"] < row["success_rate"] < 1
    assert (other["is_healthy"], other["circuit"], other["success_rate"]) == (True, "CLOSED", 1)


def test_a_refused_key_is_named_with_the_reason_since_it_began(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    aws.set_credentials(gateway(fake, "fake-1"), gateway(fake, "fake-2"))
    chat.restart()
    operations.restart()
    fake.add_fault("401", api_key="key-fake-1", times=None)
    began_s = int(time.time())
    for question in ("one", "two"):
        ask(chat, question)
    rows = [operations.send(f"GET /api/groq/{route}").body["data"][0] for route in ("quota", "health")]
    [provider] = operations.send("GET /v1/providers").body["data"]
    rows.append(provider["credentials"][0]["models"][0])
    for row in rows:
        assert row["refused"]["reason"] == "credential refused"
        assert began_s <= row["refused"]["since"] <= time.time() < row["refused"]["until"]
    assert provider["credentials"][1]["models"][0]["refused"] is None
    # A minute later it is tried, and refused, again: that is the same refusal still.
    ledger = chat.app.ledger
    scope = "deployment#fake-1#small"
    until_ms = ledger.look_at([scope])[scope].item.blocked_until_ms + 60_000
    before = ledger.look_at([scope])[scope].item.refused_since_ms
    ledger.block(scope, until_ms, BlockReason.CREDENTIAL_REFUSED)
    item = ledger.look_at([scope])[scope].item
    assert (item.blocked_until_ms, item.refused_since_ms) == (until_ms, before)
    ledger.unblock(scope)
    assert operations.send("GET /api/groq/health").body["data"][0]["refused"] is None


def test_providers_are_listed_without_their_keys(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    aws.set_credentials(gateway(fake, "fake-1"), gateway(fake, "fake-2", enabled=False))
    chat.restart()
    operations.restart()
    answer = operations.send("GET /v1/providers")
    [provider] = answer.body["data"]
    assert (provider["id"], provider["adapter"]) == ("gateway", "openai_compatible")
    assert [(each["alias"], each["models"][0]["is_enabled"]) for each in provider["credentials"]] == [
        ("fake-1", True),
        ("fake-2", False),
    ]
    assert "key-fake" not in str(answer.body)
    assert chat.api_key not in str(answer.body)


def test_a_broken_credential_is_shown_and_the_others_serve(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    aws.set_credentials(gateway(fake, "fake-1"), gateway(fake, "fake-2", provider="nobody"), {"alias": "fake-3"})
    chat.restart()
    operations.restart()
    ask(chat, "who serves?")
    answer = operations.send("GET /v1/providers").body
    assert [each["alias"] for each in answer["data"][0]["credentials"]] == ["fake-1"]
    assert [(each["position"], each["alias"]) for each in answer["broken"]] == [(1, "fake-2"), (2, "fake-3")]
    assert "credentials[1].provider: 'nobody' is none of groq" in answer["broken"][0]["reason"]
    assert answer["problem"] is None
    assert "key-fake" not in str(answer)


def test_operators_are_told_of_a_secret_that_is_broken_while_what_it_was_serves(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    aws.set_credentials(gateway(fake, "fake-1"))
    aws.set_credentials({"provider": "gateway", "alias": "fake-1"})
    chat.restart()
    operations.restart()
    ask(chat, "who serves?")
    answer = operations.send("GET /v1/providers").body
    assert [each["alias"] for each in answer["data"][0]["credentials"]] == ["fake-1"]
    assert "credentials[0].api_key: missing" in answer["problem"]
    aws.secretsmanager.put_secret_value(SecretId=aws.variables["CREDENTIALS_SECRET"], SecretString="{")
    operations.restart()
    answer = operations.send("GET /v1/providers").body
    assert answer["data"] == []
    assert "Invalid JSON" in answer["problem"]


def test_hits_and_misses_and_entries_are_exact_for_requests_at_once(chat: ChatServer, operations: RestFunction) -> None:
    questions = [f"question {number % 10}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        # One after the other for each question, all questions at once.
        list(pool.map(lambda question: [ask(chat, question) for _ in range(4)], dict.fromkeys(questions)))
    found = stats(operations)
    assert (found["hits"], found["misses"], found["hit_rate"]) == (30, 10, 0.75)
    store_one_more(chat)
    found = stats(operations)
    assert (found["entries"], found["expired"], found["hits"], found["misses"]) == (11, 0, 30, 11)
    stored = chat.aws.items("RESPONSE_CACHE_TABLE")
    assert found["bytes"] == sum(int(item["bytes"]["N"]) for item in stored) > 0
    assert [each["tenant"] for each in found["tenants"]] == ["acme"]


def test_an_answer_that_replaces_another_is_one_entry(chat: ChatServer, operations: RestFunction) -> None:
    for _ in range(3):
        assert ask(chat, "again", **{"cache-control": "no-cache"}) == "skipped"
    store_one_more(chat)
    found = stats(operations)
    assert (found["entries"], found["hits"], found["misses"]) == (2, 0, 4)
    stored = chat.aws.items("RESPONSE_CACHE_TABLE")
    assert found["bytes"] == sum(int(item["bytes"]["N"]) for item in stored) > 0


def test_stats_do_not_scan_and_a_busy_process_counts_once_a_second(chat: ChatServer, operations: RestFunction) -> None:
    with counting() as sent:
        for number in range(20):
            ask(chat, f"question {number}")
    # Seven for each, and what was stored at most once a second; a few more where a slice of a limit ends.
    assert 20 * 7 < len(sent) < 20 * 8
    stats(operations)
    with counting() as sent:
        stats(operations)
    assert sorted(sent) == ["BatchGetItem", "Query", "Query"]


def test_a_cleared_cache_serves_nothing_at_once_and_fills_again(chat: ChatServer, operations: RestFunction) -> None:
    assert [ask(chat, "one"), ask(chat, "one")] == ["miss", "hit"]
    store_one_more(chat)
    with counting() as sent:
        answer = operations.send("POST /api/groq/cache/clear")
    assert (answer.status, answer.body["tenants"]) == (200, ["acme"])
    # Who asks is known already: clearing is one write, between the two of its audit record.
    writes = [name for name in sent if name != "GetItem"]
    assert writes == ["TransactWriteItems", "UpdateItem", "TransactWriteItems"]
    found = stats(operations)
    assert (found["entries"], found["expired"], found["bytes"]) == (0, 2, 0)
    assert [ask(chat, "one"), ask(chat, "one")] == ["miss", "hit"]
    store_one_more(chat)
    found = stats(operations)
    # The answer that was cleared has made room for the new one.
    assert (found["entries"], found["expired"], found["hits"], found["misses"]) == (2, 1, 2, 4)


def test_an_operator_reaches_its_own_tenant_s_cache_and_an_admin_all(
    chat: ChatServer, operations: RestFunction
) -> None:
    other = chat.tenant("globex")
    ask(chat, "one")
    assert [ask(chat, "one", api_key=other), ask(chat, "one", api_key=other)] == ["miss", "hit"]
    assert (stats(operations)["hits"], stats(operations)["misses"]) == (0, 1)
    store_one_more(chat)
    assert stats(operations)["entries"] == 2
    for route in ("GET /api/groq/cache/stats", "POST /api/groq/cache/clear"):
        refused = operations.send(route, query={"tenant": "globex"})
        assert (refused.status, refused.body["error"]["param"]) == (404, "tenant")
        too_long = operations.send(route, query={"tenant": "x" * 3000}, api_key=chat.aws.admin_key)
        assert (too_long.status, too_long.body["error"]["param"]) == (400, "tenant")
        unknown = operations.send(route, query={"tenant": "nobody"}, api_key=chat.aws.admin_key)
        assert unknown.status == 404
        misspelt = operations.send(route, query={"tenent": "globex"}, api_key=chat.aws.admin_key)
        assert (misspelt.status, misspelt.body["error"]["param"]) == (400, "tenent")
    assert operations.send("POST /api/groq/cache/clear").body["tenants"] == ["acme"]
    assert [ask(chat, "one"), ask(chat, "one", api_key=other)] == ["miss", "hit"]
    every = operations.send("GET /api/groq/cache/stats", api_key=chat.aws.admin_key).body
    assert [each["tenant"] for each in every["tenants"]] == ["admin", "acme", "globex"]
    assert [(each["hits"], each["misses"]) for each in every["tenants"]] == [(0, 0), (0, 3), (2, 1)]
    assert (every["hits"], every["misses"]) == (2, 4)
    assert every["entries"] == sum(each["entries"] for each in every["tenants"])
    cleared = operations.send("POST /api/groq/cache/clear", api_key=chat.aws.admin_key).body["tenants"]
    assert cleared == ["admin", "acme", "globex"]
    assert [ask(chat, "one"), ask(chat, "one", api_key=other)] == ["miss", "miss"]


def test_who_cleared_which_cache_is_in_the_audit_log(chat: ChatServer, operations: RestFunction) -> None:
    chat.tenant("globex")
    operations.send("POST /api/groq/cache/clear")
    operations.send("POST /api/groq/cache/clear", api_key=chat.aws.admin_key)
    found = chat.app.audit_log.page(AuditQuery(action=Action.CACHE_CLEARED), page=None, limit=10).records
    assert sorted((each.act.tenant, each.actor_key == "admin", each.outcome) for each in found) == [
        ("acme", False, "done"),
        ("acme", True, "done"),
        ("admin", True, "done"),
        ("globex", True, "done"),
    ]
    of_acme = [each.act.changes["generation"] for each in found if each.act.tenant == "acme"]
    assert [(each.before, each.after) for each in of_acme] == [(1, 2), (0, 1)]


def test_a_cache_is_not_cleared_where_that_can_not_be_recorded(
    chat: ChatServer, operations: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [ask(chat, "one"), ask(chat, "one")] == ["miss", "hit"]
    with monkeypatch.context() as broken:
        broken.setattr(AuditLog, "_write", failing)
        assert operations.send("POST /api/groq/cache/clear").status == 503
    assert ask(chat, "one") == "hit"


def failing(*_: object) -> None:
    raise StorageUnavailableError("the table is gone")


def test_an_admin_s_own_answers_are_cleared_too(chat: ChatServer, operations: RestFunction) -> None:
    admin = chat.key("acme", role="admin")
    assert [ask(chat, "one", api_key=admin), ask(chat, "one", api_key=admin)] == ["miss", "hit"]
    operations.send("POST /api/groq/cache/clear", api_key=admin)
    assert ask(chat, "one", api_key=admin) == "miss"


def test_without_dynamodb_operators_are_told_so(operations: RestFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTA_TABLE", "no-such-table")
    operations.restart()
    answer = operations.send("GET /api/groq/quota")
    assert (answer.status, answer.body["error"]["code"]) == (503, "storage_unavailable")
