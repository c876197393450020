"""Idempotency keys where two ask at once, a process dies, storage fails or a claim runs out."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from functions.tasks.app import ROUTES as TASKS
from sluice.api.idempotency import REPLAYED
from sluice.chat import JsonObject
from sluice.idempotency.store import KEPT_S, IdempotencyStore
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ServiceError
from tests.batches import DiedError, die
from tests.chat_server import ChatServer
from tests.fakes.client import FakeProvider
from tests.idempotency import BODY, KEY, ask, code_of
from tests.tasks import Tasks


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
