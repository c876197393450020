"""Idempotency keys: what is asked twice with one key is answered once, and paid for once."""

import json
from typing import Any
from unittest import mock

import pytest

from functions.conversations.app import ROUTES as OVERSIGHT
from functions.operations.app import ROUTES as OPERATIONS
from sluice.api.idempotency import FIRST_REQUEST_ID, REPLAYED
from sluice.chat import JsonObject
from sluice.idempotency.store import IdempotencyStore
from tests.chat_server import ChatServer
from tests.dynamodb_calls import counting
from tests.fakes.client import FakeProvider
from tests.idempotency import BODY, STREAM, ask, code_of, kept, spent
from tests.request_records import shown
from tests.rest_function import RestFunction


def test_the_same_key_and_body_replay_the_first_answer_and_spend_nothing(chat: ChatServer, fake: FakeProvider) -> None:
    first = ask(chat)
    before = spent(chat)
    fake.configure(answer="Another answer.")
    second = ask(chat)
    assert (second.status_code, second.content) == (200, first.content)
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"
    assert second.headers[FIRST_REQUEST_ID] == first.headers["x-sluice-request-id"]
    assert second.headers["x-sluice-request-id"] not in {first.headers["x-sluice-request-id"], ""}
    assert second.headers["x-sluice-deployment"] == first.headers["x-sluice-deployment"]
    assert (float(first.headers["x-sluice-cost-usd"]) > 0, second.headers["x-sluice-cost-usd"]) == (True, "0")
    assert len(fake.requests()) == 1
    assert spent(chat) == before


def test_a_replay_is_one_request_of_its_key_as_an_answer_of_the_cache_is(chat: ChatServer) -> None:
    left = [int(ask(chat).headers["x-ratelimit-remaining-requests"]) for _ in range(3)]
    assert left == [left[0], left[0] - 1, left[0] - 2]


def test_a_caller_without_requests_is_refused_before_anything_is_claimed(chat: ChatServer) -> None:
    api_key = chat.key("acme", limits={"requests_per_minute": 1})
    assert ask(chat, api_key=api_key).status_code == 200
    assert ask(chat, api_key=api_key).status_code == 429
    with counting() as asked:
        assert ask(chat, key="order-2", api_key=api_key).status_code == 429
    assert "PutItem" not in asked
    assert len(kept(chat)) == 1


def test_a_replay_is_in_the_request_log_as_one(chat: ChatServer) -> None:
    ask(chat)
    second = ask(chat)
    operations = RestFunction(OPERATIONS, chat.key("acme", role="operator"))
    record = shown(operations, second)
    assert (record["status"], record["outcome"], record["cache"]) == (200, "answered", "replay")
    assert (record["deployment"], record["cost_usd"], record["attempts"]) == (None, 0, [])


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"max_tokens": 41}, {}),
        ({"stream": True}, {}),
        ({}, {"x-sluice-user": "ada"}),
        ({}, {"cache-control": "no-cache"}),
    ],
)
def test_the_same_key_with_another_request_is_refused_and_reads_nothing(
    chat: ChatServer, fake: FakeProvider, change: dict[str, Any], headers: dict[str, str]
) -> None:
    first = ask(chat)
    other = ask(chat, BODY | change, headers=headers)
    assert (other.status_code, code_of(other)) == (422, "idempotency_key_reused")
    assert other.headers["x-should-retry"] == "false"
    assert len(fake.requests()) == 1
    assert ask(chat).content == first.content


def test_a_body_is_the_same_in_whatever_order_and_spacing_its_client_writes_it(chat: ChatServer) -> None:
    ask(chat)
    assert ask(chat, json.dumps(dict(reversed(BODY.items())), indent=2)).headers[REPLAYED] == "true"


def test_another_tenant_s_and_another_key_s_same_key_is_another_request(chat: ChatServer, fake: FakeProvider) -> None:
    ask(chat)
    for api_key in (chat.tenant("other"), chat.key("acme")):
        answer = ask(chat, api_key=api_key)
        assert (answer.status_code, REPLAYED in answer.headers) == (200, False)
        assert ask(chat, BODY | {"max_tokens": 41}, key="order-2", api_key=api_key).status_code == 200
    assert len(fake.requests()) == 5


@pytest.mark.parametrize(("key", "status"), [("", 400), ("k" * 256, 400), ("k" * 255, 200), ('"quoted key"', 200)])
def test_a_key_has_1_to_255_characters(chat: ChatServer, key: str, status: int) -> None:
    answer = ask(chat, key=key)
    assert answer.status_code == status
    if status == 400:
        assert (code_of(answer), answer.json()["error"]["param"]) == ("invalid_idempotency_key", "idempotency-key")


def test_without_a_key_nothing_more_is_asked_of_dynamodb(chat: ChatServer) -> None:
    chat.post(BODY)
    with counting() as asked:
        chat.post(BODY)
    without = sorted(asked)
    with counting() as asked:
        ask(chat)
    assert sorted(asked) == sorted([*without, "PutItem", "PutItem"])
    with counting() as asked:
        ask(chat)
    # The claim, the caller's count, and the request log's record.
    assert sorted(asked) == ["PutItem", "PutItem", "UpdateItem"]


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "streamed"])
def test_what_may_pass_is_not_kept(chat: ChatServer, fake: FakeProvider, body: JsonObject) -> None:
    for _ in range(4):
        fake.add_fault("500")
    assert ask(chat, body).status_code == 503
    assert kept(chat) == []
    fake.clear_faults()
    answer = ask(chat, body)
    assert (answer.status_code, REPLAYED in answer.headers) == (200, False)


def test_a_refusal_that_cost_nothing_leaves_the_key_to_the_request_as_it_is_corrected(chat: ChatServer) -> None:
    assert ask(chat, BODY | {"model": "nobody-has-it"}).status_code == 404
    assert ask(chat, BODY | {"messages": []}).status_code == 400
    assert ask(chat).status_code == 200


@pytest.mark.parametrize("fault", ["400", "404", "422"])
def test_what_a_provider_refused_without_a_bill_leaves_the_key_free(
    chat: ChatServer, fake: FakeProvider, fault: str
) -> None:
    fake.add_fault(fault)
    refused = ask(chat)
    assert 400 <= refused.status_code < 600
    assert kept(chat) == []


def test_an_answer_that_was_withheld_is_not_paid_for_twice(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="No JSON.")
    body = BODY | {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON?"}]}
    first = ask(chat, body)
    asked = len(fake.requests())
    second = ask(chat, body)
    assert (first.status_code, code_of(first)) == (502, "invalid_answer")
    assert (second.status_code, second.json()) == (502, first.json())
    assert (second.headers[REPLAYED], second.headers["x-should-retry"]) == ("true", "false")
    assert len(fake.requests()) == asked


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "streamed"])
def test_an_answer_that_is_too_large_is_not_asked_for_twice(
    chat: ChatServer, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, body: JsonObject
) -> None:
    monkeypatch.setattr("sluice.idempotency.answer.MOST_BYTES", 100)
    assert ask(chat, body).status_code == 200
    second = ask(chat, body)
    assert (second.status_code, code_of(second)) == (409, "idempotent_answer_too_large")
    assert second.headers["x-should-retry"] == "false"
    assert len(fake.requests()) == 1


def test_it_holds_where_the_cache_is_off_and_was_cleared(chat: ChatServer, fake: FakeProvider) -> None:
    api_key = chat.tenant("uncached", cache_policy="off")
    first = ask(chat, api_key=api_key, headers={"cache-control": "no-store"})
    chat.app.response_cache.clear("uncached")
    second = ask(chat, api_key=api_key, headers={"cache-control": "no-store"})
    assert (second.content, second.headers[REPLAYED]) == (first.content, "true")
    assert len(fake.requests()) == 1


def test_a_turn_of_a_conversation_is_added_once(chat: ChatServer, fake: FakeProvider) -> None:
    headers = {"x-sluice-conversation-id": "tour"}
    assert ask(chat, headers=headers).content == ask(chat, headers=headers).content
    ask(chat, key="order-2", headers=headers)
    assert len(fake.last_body()["messages"]) == 3


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "streamed"])
def test_a_deleted_user_s_answers_go_and_those_of_others_stay(
    chat: ChatServer, fake: FakeProvider, body: JsonObject
) -> None:
    asked: dict[str, Any] = {user: {"key": f"of {user}", "headers": {"x-sluice-user": user}} for user in ("ada", "eve")}
    for more in asked.values():
        ask(chat, body, **more)
    oversight = RestFunction(OVERSIGHT, chat.key("acme", role="operator"))
    assert oversight.send("DELETE /v1/users/ada").status == 200
    assert len(kept(chat)) == 1
    assert REPLAYED not in ask(chat, body, **asked["ada"]).headers
    assert ask(chat, body, **asked["eve"]).headers[REPLAYED] == "true"


def test_an_answer_that_is_under_way_is_not_kept_for_a_user_who_is_deleted(chat: ChatServer) -> None:
    oversight = RestFunction(OVERSIGHT, chat.key("acme", role="operator"))
    keep = IdempotencyStore.keep

    def keep_later(self: IdempotencyStore, *arguments: Any) -> bool:
        assert oversight.send("DELETE /v1/users/ada").status == 200
        return keep(self, *arguments)

    with mock.patch.object(IdempotencyStore, "keep", keep_later):
        assert ask(chat, headers={"x-sluice-user": "ada"}).status_code == 200
    assert kept(chat) == []
