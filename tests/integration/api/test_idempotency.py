"""Idempotency keys: what is asked twice with one key is answered once, whole and streamed."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import httpx
import openai
import pytest

from functions.conversations.app import ROUTES as OVERSIGHT
from functions.operations.app import ROUTES as OPERATIONS
from functions.tasks.app import ROUTES as TASKS
from sluice.api.idempotency import FIRST_REQUEST_ID, REPLAYED
from sluice.chat import JsonObject
from sluice.idempotency.store import KEPT_S, IdempotencyStore
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ServiceError
from tests.batches import DiedError, die
from tests.chat_server import ChatServer, eventually
from tests.dynamodb_calls import counting
from tests.fakes.client import FakeProvider
from tests.request_records import shown
from tests.rest_function import RestFunction
from tests.tasks import Tasks

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
# A temperature, so that nothing is answered from the cache.
BODY: dict[str, Any] = {"model": "small", "messages": HELLO, "max_tokens": 40, "temperature": 0.7}
KEY = {"idempotency-key": "order-1"}
STREAM = BODY | {"stream": True}


def ask(chat: ChatServer, body: Any = None, key: str = "order-1", **more: Any) -> httpx.Response:
    headers = {"idempotency-key": key, **more.pop("headers", {})}
    return chat.post(BODY if body is None else body, headers=headers, **more)


def code_of(answer: httpx.Response) -> str:
    code: str = answer.json()["error"]["code"]
    return code


def spent(chat: ChatServer) -> dict[str, dict[str, int]]:
    """What is counted of deployments and budgets, and used."""
    counted = {scope: taken for scope, taken in chat.counted().items() if scope != "caller"}
    usage = [item for item in chat.aws.items("USAGE_TABLE") if "requests" in item]
    return counted | {f"usage{number}": {"requests": int(item["requests"]["N"])} for number, item in enumerate(usage)}


def kept(chat: ChatServer) -> list[Any]:
    found = chat.aws.items("RESPONSE_CACHE_TABLE")
    return [item for item in found if item["key"]["S"].startswith("idempotency#")]


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


def test_two_at_the_same_moment_are_answered_once(chat: ChatServer, fake: FakeProvider) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(chat), range(6)))
    assert len(fake.requests()) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert code_of(answer) == "idempotency_key_in_use"
            assert int(answer.headers["retry-after"]) >= 1
            assert "x-should-retry" not in answer.headers
    assert ask(chat).headers[REPLAYED] == "true"


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


def test_a_stream_is_replayed_byte_for_byte(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="Grüße, 你好 \U0001f600, and \u2028 a line.")
    first, second = ask(chat, STREAM), ask(chat, STREAM)
    assert first.content.endswith(b"data: [DONE]\n\n")
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert len(fake.requests()) == 1


def test_the_openai_sdk_reads_a_replayed_stream_as_the_first(chat: ChatServer, fake: FakeProvider) -> None:
    client = chat.openai()
    asked: dict[str, Any] = {**BODY, "stream_options": {"include_usage": True}, "extra_headers": KEY}
    streams = [list(client.chat.completions.create(**asked, stream=True)) for _ in range(2)]
    assert streams[0] == streams[1]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streams[1] if chunk.choices) == "Hello there."
    raw = client.chat.completions.with_raw_response.create(**BODY, extra_headers={"Idempotency-Key": "another"})
    again = client.chat.completions.with_raw_response.create(**BODY, extra_headers={"Idempotency-Key": "another"})
    assert again.parse() == raw.parse()
    assert again.headers[REPLAYED] == "true"
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(**BODY, extra_headers=KEY)
    assert len(fake.requests()) == 2


def test_the_sdk_s_own_retry_gets_the_answer_that_was_lost_on_the_way(chat: ChatServer, fake: FakeProvider) -> None:
    class Losing(httpx.HTTPTransport):
        sent = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            self.sent += 1
            if self.sent == 1:
                answer.read()
                raise httpx.ReadError("the connection is gone")
            return answer

    transport = Losing()
    client = chat.openai(max_retries=1, http_client=httpx.Client(transport=transport))
    answer = client.chat.completions.with_raw_response.create(**BODY, extra_headers=KEY)
    assert answer.headers[REPLAYED] == "true"
    assert (transport.sent, len(fake.requests())) == (2, 1)


def test_the_sdk_waits_for_an_answer_that_is_under_way(chat: ChatServer, fake: FakeProvider) -> None:
    claimed, answers = threading.Event(), threading.Event()
    keep = IdempotencyStore.keep

    def keep_later(self: IdempotencyStore, *arguments: Any) -> bool:
        claimed.set()
        assert answers.wait(30)
        return keep(self, *arguments)

    def refused(response: httpx.Response) -> None:
        if response.status_code == 409:
            answers.set()

    with mock.patch.object(IdempotencyStore, "keep", keep_later), ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, chat, BODY)
        assert claimed.wait(30)
        client = chat.openai(max_retries=3, http_client=httpx.Client(event_hooks={"response": [refused]}))
        answer = client.chat.completions.with_raw_response.create(**BODY, extra_headers=KEY)
        assert first.result().status_code == 200
    assert answer.headers[REPLAYED] == "true"
    assert len(fake.requests()) == 1


def hang_up(chat: ChatServer, body: Any) -> None:
    """Ask for a stream, and hang up after its first event."""
    host, port = chat.root_url.removeprefix("http://").split(":")
    raw = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {chat.api_key}\r\n"
        f"idempotency-key: order-1\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + raw)
        received = b""
        while b"data: " not in received:
            received += connection.recv(4096)


def test_a_stream_whose_caller_hangs_up_is_read_to_its_end_and_kept(chat: ChatServer, fake: FakeProvider) -> None:
    text = "One two three four five six seven eight nine ten."
    fake.configure(answer=text, chunk_delay_s=0.02)
    hang_up(chat, STREAM)
    eventually(lambda: any("head" in item for item in kept(chat)), within_s=20)
    answer = ask(chat, STREAM)
    assert (answer.headers[REPLAYED], answer.content.endswith(b"data: [DONE]\n\n")) == ("true", True)
    events = [json.loads(part[6:]) for part in answer.text.split("\n\n")[:-2]]
    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in events if each["choices"]) == text
    assert len(fake.requests()) == 1


def test_a_stream_that_broke_off_is_asked_anew(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("cut")
    assert "answer_interrupted" in ask(chat, STREAM).text
    assert kept(chat) == []
    answer = ask(chat, STREAM)
    assert (REPLAYED in answer.headers, answer.content.endswith(b"data: [DONE]\n\n")) == (False, True)


def test_a_stream_that_was_withheld_half_way_is_replayed_with_its_error(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="No JSON.")
    body = STREAM | {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON?"}]}
    first, second = ask(chat, body), ask(chat, body)
    assert "invalid_answer" in first.text
    assert second.content == first.content
    assert len(fake.requests()) == 1


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


def test_without_storage_nothing_is_spent(
    chat: ChatServer, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.post(BODY | {"max_tokens": 1})  # everything else is known
    monkeypatch.setenv("RESPONSE_CACHE_TABLE", "not-there")
    chat.restart()
    answer = ask(chat)
    assert (answer.status_code, code_of(answer)) == (503, "storage_unavailable")
    assert len(fake.requests()) == 1


class Clock:
    ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def clock(tasks: Tasks) -> Clock:
    clock = Clock()
    tasks.app.__dict__["idempotency"] = IdempotencyStore(tasks.app.settings.response_cache_table, clock)
    return clock


RUN = "POST /v1/tasks/concept_explanation"
INPUTS = {"inputs": {"concept": "recursion", "language": "Python"}}


def test_a_task_is_run_once_for_a_day_and_then_anew(tasks: Tasks, fake: FakeProvider, clock: Clock) -> None:
    fresh = {**KEY, "cache-control": "no-cache"}
    first = tasks.send(RUN, INPUTS, headers=fresh)
    asked = len(fake.requests())
    clock.ahead_s = KEPT_S - 60
    assert tasks.send(RUN, INPUTS, headers=fresh).raw == first.raw
    assert len(fake.requests()) == asked
    clock.ahead_s = KEPT_S + 60
    assert REPLAYED not in tasks.send(RUN, INPUTS, headers=fresh).headers
    assert len(fake.requests()) > asked


@pytest.mark.parametrize("dies_at", ["before the call", "after the call", "keeping"])
def test_a_process_that_dies_blocks_its_key_until_its_deadline_is_over(
    tasks: Tasks, fake: FakeProvider, clock: Clock, dies_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = {**KEY, "cache-control": "no-cache"}
    where = {
        "before the call": "sluice.gateway.admission.Admission.admit",
        "after the call": "sluice.gateway.settlement.Settlement.settle",
        "keeping": "sluice.idempotency.store.IdempotencyStore.keep",
    }[dies_at]
    with monkeypatch.context() as patch:
        patch.setattr(where, die)
        with pytest.raises(DiedError):
            tasks.send(RUN, INPUTS, headers=fresh)
    asked = len(fake.requests())
    busy = tasks.send(RUN, INPUTS, headers=fresh)
    assert (busy.status, busy.error["code"]) == (409, "idempotency_key_in_use")
    assert len(fake.requests()) == asked
    # The function has 30 s, less what it needs to answer.
    clock.ahead_s = 41
    assert tasks.send(RUN, INPUTS, headers=fresh).status == 200
    assert REPLAYED in tasks.send(RUN, INPUTS, headers=fresh).headers


def test_an_answer_that_comes_after_its_claim_ran_out_does_not_replace_another_s(
    tasks: Tasks, fake: FakeProvider, clock: Clock
) -> None:
    fresh = {**KEY, "cache-control": "no-cache"}
    keep, late = IdempotencyStore.keep, []

    def keep_later(self: IdempotencyStore, *arguments: Any) -> bool:
        late.append(arguments)
        return True

    with mock.patch.object(IdempotencyStore, "keep", keep_later):
        tasks.send(RUN, INPUTS, headers=fresh)
    clock.ahead_s = 41
    second = tasks.send(RUN, INPUTS, headers=fresh)
    assert keep(tasks.app.idempotency, *late[0]) is False
    assert tasks.send(RUN, INPUTS, headers=fresh).raw == second.raw


GENAI = [
    ("POST /api/v1/genai/custom", {"prompt": "Say hello.", "prompt_type": "explanation"}),
    ("POST /api/v1/genai/batch", {"requests": [{"prompt": "Say hello.", "prompt_type": "explanation"}]}),
    ("POST /v1/tasks/concept_explanation", INPUTS | {"stream": True}),
]


@pytest.mark.parametrize(("route", "body"), GENAI)
def test_every_route_that_asks_models_answers_once(
    tasks: Tasks, fake: FakeProvider, route: str, body: JsonObject
) -> None:
    first = tasks.send(route, body, headers=KEY)
    asked = len(fake.requests())
    assert (first.status, asked > 0) == (200, True)
    second = tasks.send(route, body, headers=KEY)
    assert (second.raw, len(fake.requests())) == (first.raw, asked)
    assert second.headers[REPLAYED] == ["true"]


def test_a_request_whose_questions_all_failed_is_asked_anew(tasks: Tasks, fake: FakeProvider) -> None:
    route, body = GENAI[1]
    fake.add_fault("500", times=None)
    first = tasks.send(route, body, headers=KEY)
    assert (first.status, "error" in first.body[0]) == (200, True)
    fake.clear_faults()
    second = tasks.send(route, body, headers=KEY)
    assert (second.status, REPLAYED in second.headers) == (200, False)


@pytest.fixture
def dying(chat: ChatServer) -> Iterator[ChatServer]:
    """A chat whose writes of answers are lost on their way, once each, after DynamoDB has done them."""
    call = DynamoDB._exchange
    seen: set[bytes] = set()

    def exchange(self: DynamoDB, operation: str, body: bytes, *arguments: Any, **named: Any) -> Any:
        answer = call(self, operation, body, *arguments, **named)
        if operation == "PutItem" and b"idempotency#" in body and body not in seen:
            seen.add(body)
            raise ServiceError("the answer was lost", is_transient=True)
        return answer

    with mock.patch.object(DynamoDB, "_exchange", exchange):
        yield chat


def test_a_claim_and_an_answer_whose_writes_arrive_twice_are_one(dying: ChatServer, fake: FakeProvider) -> None:
    first, second = ask(dying), ask(dying)
    assert (first.status_code, second.content, second.headers[REPLAYED]) == (200, first.content, "true")
    assert len(fake.requests()) == 1


def test_two_processes_at_the_same_moment_answer_once(tasks: Tasks, fake: FakeProvider) -> None:
    fleet = [tasks, *(Tasks(TASKS, tasks.api_key) for _ in range(3))]
    with ThreadPoolExecutor(len(fleet)) as pool:
        answers = list(pool.map(lambda each: each.send(*GENAI[0], headers=KEY), fleet))
    assert len(fake.requests()) == 1
    assert {answer.status for answer in answers} <= {200, 409}
