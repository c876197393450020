"""How requests were answered, as operators are told, of a chat server and tasks with a fake provider behind them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from functions.operations.app import ROUTES as FUNCTION_ROUTES
from sluice.request_log.request_id import first_id_at, new_request_id
from sluice.request_log.schema import KEPT_S
from tests.chat_server import ChatServer, eventually
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.request_records import BLOCKED, QUESTION, SECRET, ask, listed, shown
from tests.rest_function import RestAnswer, RestFunction
from tests.tasks import Tasks, example_of
from tests.tenants import key_id


@ON_BOTH_EMULATORS
def test_an_answer_s_record_says_how_it_came_about(chat: ChatServer, operations: RestFunction) -> None:
    answer = ask(chat, metadata={"sluice_user": "ada", "sluice_task": "homework"})
    found = shown(operations, answer)
    times = found.pop("times")
    [attempt] = found.pop("attempts")
    assert (attempt["deployment"], attempt["result"], attempt["status"]) == ("fake-1#small", "answered", None)
    assert times["total_ms"] >= times["provider_ms"] >= attempt["time_ms"] >= 0
    assert times["first_token_ms"] is None
    infra_cost_usd = found.pop("infra_cost_usd")
    assert 0.000005 < infra_cost_usd < 0.01
    assert float(answer.headers["x-sluice-infra-cost-usd"]) == pytest.approx(infra_cost_usd, rel=0.5)
    created_at = found.pop("created_at")
    assert abs(created_at - time.time()) < 60
    assert found == {
        "id": answer.headers["x-sluice-request-id"],
        "object": "request",
        "expires_at": created_at + KEPT_S,
        "tenant": "acme",
        "key": key_id(chat.api_key),
        "user": "ada",
        "task": "homework",
        "route": "createChatCompletion",
        "outcome": "answered",
        "status": 200,
        "code": None,
        "reason": None,
        "why": "small was asked for, and answered.",
        "cause": "answered",
        "repeats": 0,
        "requested_model": "small",
        "model": "small",
        "deployment": "fake-1#small",
        "provider": "gateway",
        "tier": "fast",
        "guard_models": [],
        "complexity": "simple",
        "cache": "miss",
        "streamed": False,
        "asks": 1,
        "guard_rules": [],
        "usage": {
            "prompt_tokens": answer.json()["usage"]["prompt_tokens"],
            "completion_tokens": answer.json()["usage"]["completion_tokens"],
        },
        "cost_usd": float(answer.headers["x-sluice-cost-usd"]),
        "api_request_id": None,
    }


def test_hits_streams_and_flags_are_recorded(chat: ChatServer, operations: RestFunction) -> None:
    ask(chat)
    hit = shown(operations, ask(chat))
    assert (hit["cache"], hit["attempts"], hit["cost_usd"], hit["outcome"]) == ("hit", [], 0, "answered")
    streamed = ask(chat, stream=True, seed=1)
    assert "data: [DONE]" in streamed.text
    found = shown(operations, streamed)
    assert (found["streamed"], found["outcome"], found["cache"]) == (True, "answered", "miss")
    assert 1 <= found["times"]["first_token_ms"] <= found["times"]["total_ms"] + 1
    lenient = chat.tenant("lenient", guard_modes={"prompt-injection": "flag", "prompt-leak": "flag"})
    flagged = ask(chat, messages=BLOCKED, api_key=lenient)
    assert flagged.status_code == 200
    operator = chat.key("lenient", role="operator")
    [row] = operations.send("GET /v1/requests", api_key=operator).body["data"]
    assert "prompt-injection" in row["guard_rules"]


def test_who_was_tried_before_is_named_with_the_reason(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    few = model(limits={"requests_per_minute": 1})
    aws.set_credentials(gateway(fake, "fake-1", models={"small": few}), gateway(fake, "fake-2"))
    chat.restart()
    ask(chat, seed=1)
    fake.add_fault("429", api_key="key-fake-2", times=None, retry_after="30")
    found = [shown(operations, ask(chat, seed=seed)) for seed in range(2, 5)]
    attempts = {(each["deployment"], each["result"], each["status"]) for one in found for each in one["attempts"]}
    assert {
        ("fake-1#small", "out of requests_per_minute", None),
        ("fake-2#small", "RateLimited", 429),
        ("fake-2#small", "out of blocked_by_provider", None),
    } <= attempts


def test_refusals_are_recorded_with_their_reason_in_words(
    chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    blocked = shown(operations, ask(chat, messages=BLOCKED, metadata={"sluice_user": "ada"}))
    assert (blocked["outcome"], blocked["status"], blocked["user"]) == ("refused", 400, "ada")
    assert blocked["reason"] == f"A guard rule blocked it: {blocked['code']}."
    assert blocked["attempts"] == []
    malformed = shown(operations, ask(chat, messages=[]))
    assert (malformed["status"], malformed["reason"]) == (
        400,
        "The request is not one that can be answered: messages.",
    )
    unknown = shown(operations, ask(chat, model="no-such-model-here"))
    assert (unknown["status"], unknown["code"], unknown["requested_model"]) == (404, "model_not_found", None)
    assert "no-such-model-here" not in json.dumps(unknown)
    few = chat.key("acme", limits={"requests_per_minute": 1})
    assert ask(chat, api_key=few, seed=1).status_code == 200
    limited = shown(operations, ask(chat, api_key=few, seed=2))
    assert (limited["outcome"], limited["status"], limited["code"]) == ("refused", 429, "rate_limit_exceeded")
    assert limited["reason"].startswith("The API key is out of requests per minute. Try again in ")
    fake.add_fault("500", times=None)
    failed = shown(operations, ask(chat, seed=3))
    assert (failed["outcome"], failed["status"], failed["reason"]) == ("failed", 503, "No provider could answer.")
    assert {each["result"] for each in failed["attempts"]} == {"Unavailable"}
    picky = chat.tenant("picky", allowed_models=["llama-3.1-8b-instant"])
    assert ask(chat, api_key=picky).status_code == 403
    operator = chat.key("picky", role="operator")
    [row] = operations.send("GET /v1/requests", api_key=operator).body["data"]
    assert (row["status"], row["code"]) == (403, "model_not_allowed")


def test_what_nobody_authenticated_sent_is_not_recorded(chat: ChatServer, operations: RestFunction) -> None:
    assert ask(chat, api_key=chat.api_key[:-1] + "x").status_code == 401
    assert listed(operations) == []
    assert chat.aws.items("REQUEST_LOG_TABLE") == []


def test_requests_that_ask_no_model_are_not_recorded(chat: ChatServer, operations: RestFunction) -> None:
    listed(operations)
    operations.send("GET /v1/requests/req_nothing")
    assert listed(operations) == []


def test_a_stream_that_breaks_off_or_is_left_is_recorded_as_that(
    chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    fake.configure(answer="word " * 400)
    fake.add_fault("error_midway")
    broken = ask(chat, stream=True, seed=1)
    found = shown(operations, broken)
    assert (found["outcome"], found["code"], found["status"]) == ("interrupted", "answer_interrupted", 502)
    assert found["reason"] == "The provider broke off in the middle of the answer."
    fake.configure(chunk_delay_s=0.05)
    body = {"model": "small", "messages": QUESTION, "stream": True, "seed": 2}
    sent_by = {"authorization": f"Bearer {chat.api_key}"}
    with httpx.stream("POST", f"{chat.base_url}/chat/completions", json=body, headers=sent_by) as stream:
        next(stream.iter_lines())
    eventually(lambda: len(listed(operations, outcome="abandoned")) == 1)


def test_an_answer_that_is_withheld_names_the_rule(
    chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    fake.configure(answer=f"The key is {SECRET}.")
    for streamed in (False, True):
        found = shown(operations, ask(chat, stream=streamed, seed=int(streamed)))
        assert found["outcome"] == "withheld"
        assert found["code"] == "secret-api-key"
        assert found["cost_usd"] > 0


def test_a_task_is_one_record_however_often_it_asks(tasks: Tasks, fake: FakeProvider) -> None:
    fake.configure(answers=["no JSON", "none either"], answer="no")
    answer = tasks.run("question_generation", example_of("question_generation"))
    operator = RestFunction(FUNCTION_ROUTES, tasks.key("acme", role="operator"))
    [row] = listed(operator)
    assert row["id"] == answer.headers["x-sluice-request-id"][0]
    assert row["asks"] >= 2
    assert row["route"] == "runTask"
    assert row["api_request_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


def test_another_tenant_s_request_is_not_there(chat: ChatServer, operations: RestFunction) -> None:
    other = chat.tenant("globex")
    own, theirs = ask(chat), ask(chat, api_key=other)
    request_id = theirs.headers["x-sluice-request-id"]
    for query in (None, {"tenant": "globex"}):
        assert operations.send(f"GET /v1/requests/{request_id}", query=query).status == 404
    for wrong in ("req_1", "nothing", new_request_id(0), new_request_id(int(time.time() * 1000))):
        assert operations.send(f"GET /v1/requests/{wrong}").status == 404
    assert operations.send("GET /v1/requests", query={"tenant": "globex"}).status == 404
    assert [each["id"] for each in listed(operations)] == [own.headers["x-sluice-request-id"]]
    for key in (chat.api_key, other):
        assert operations.send(f"GET /v1/requests/{request_id}", api_key=key).status == 403
    admin = chat.aws.admin_key
    for query in (None, {"tenant": "globex"}):
        found = operations.send(f"GET /v1/requests/{request_id}", query=query, api_key=admin)
        assert (found.status, found.body["tenant"]) == (200, "globex")
    assert operations.send(f"GET /v1/requests/{request_id}", query={"tenant": "acme"}, api_key=admin).status == 404
    every = operations.send("GET /v1/requests", api_key=admin).body["data"]
    assert [each["tenant"] for each in every] == ["globex", "acme"]
    # The place where another tenant's page ended is a place in one's own list, and nothing more.
    assert [each["tenant"] for each in listed(operations, page=request_id)] == ["acme"]


@ON_BOTH_EMULATORS
def test_pages_hold_each_request_once_the_latest_first(chat: ChatServer, operations: RestFunction) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: ask(chat, seed=seed), range(30)))
    ids = sorted((answer.headers["x-sluice-request-id"] for answer in answers), reverse=True)
    seen: list[str] = []
    query = {"limit": "7"}
    for _ in range(10):
        page = operations.send("GET /v1/requests", query=query).body
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        query["page"] = page["next_page"]
    assert seen == ids
    assert page["next_page"] is None


def test_filters_find_what_they_say(chat: ChatServer, operations: RestFunction) -> None:
    second = chat.key("acme")
    ask(chat, metadata={"sluice_user": "ada"})
    ask(chat, metadata={"sluice_user": "bob"}, api_key=second)
    ask(chat, messages=BLOCKED)
    users = {"key": key_id(second)}
    assert [each["user"] for each in listed(operations, **users)] == ["bob"]
    assert [each["user"] for each in listed(operations, user="ada")] == ["ada"]
    assert [each["outcome"] for each in listed(operations, outcome="refused")] == ["refused"]
    assert len(listed(operations, model="small")) == 2
    assert listed(operations, model="large") == []
    assert listed(operations, user="ada", outcome="refused") == []
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert listed(operations, **{"from": now}) == []
    assert len(listed(operations, **{"from": "2020-01-01", "to": now})) == 3
    assert len(listed(operations, **{"from": today, "to": today})) == 3
    assert len(listed(operations, **{"from": "0001-01-01", "to": "9999-12-31"})) == 3


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "2026-11-26", "to": "2026-11-25"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "1764115200"}, "from"),
        ({"to": "2026-11-26T10:00:00"}, "to"),
        ({"to": "99999-01-01"}, "to"),
        ({"page": "2"}, "page"),
        ({"page": "req_" + "0" * 31 + "x"}, "page"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"outcome": "fine"}, "outcome"),
        ({"usr": "ada"}, "usr"),
        ({"user": "x" * 129}, "user"),
    ],
)
def test_a_query_that_can_not_be_is_refused_by_name(
    operations: RestFunction, query: dict[str, str], param: str
) -> None:
    answer = operations.send("GET /v1/requests", query=query)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_a_page_before_all_time_is_empty(chat: ChatServer, operations: RestFunction) -> None:
    ask(chat)
    assert listed(operations, page="req_" + "0" * 32) == []
    assert len(listed(operations, page="req_" + "f" * 32)) == 1
    assert listed(operations, page=first_id_at(1), **{"from": "2026-01-01"}) == []


def test_a_clock_that_was_years_off_hides_nothing(
    chat: ChatServer, operations: RestFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(chat, seed=1)
    ahead = time.time_ns() + 10**9 * 86_400 * 3_000
    with monkeypatch.context() as jumped:
        jumped.setattr("sluice.api.dispatch.time.time_ns", lambda: ahead)
        answer = ask(chat, seed=2)
    assert shown(operations, answer)["outcome"] == "answered"
    assert len(listed(operations)) == 2


def test_without_its_table_operators_are_told_so(operations: RestFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_LOG_TABLE", "no-such-table")
    operations.restart()
    for route in ("GET /v1/requests", f"GET /v1/requests/{new_request_id(0)}"):
        answer: RestAnswer = operations.send(route)
        assert (answer.status, answer.error["code"]) == (503, "storage_unavailable")
