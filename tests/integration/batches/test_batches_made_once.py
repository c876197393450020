"""One idempotency key makes one batch, whatever becomes of the request that makes it."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.api.idempotency import REPLAYED
from sluice.errors import StorageUnavailableError
from sluice.idempotency.store import KEPT_S, IdempotencyStore
from tests.batches import CHAT, Batches, DiedError, asked, die, jsonl, line
from tests.fakes.client import FakeProvider
from tests.rest_function import RestAnswer

KEY = {"idempotency-key": "lesson-7"}


@pytest.fixture
def file_id(batches: Batches) -> str:
    uploaded: str = batches.upload(jsonl([line("q1"), line("q2")])).body["id"]
    return uploaded


def create(batches: Batches, file_id: str, headers: dict[str, str] = KEY, **more: Any) -> RestAnswer:
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **more}
    return batches.send("POST /v1/batches", body, headers=headers)


def ids(batches: Batches) -> list[str]:
    return [each["id"] for each in batches.send("GET /v1/batches").body["data"]]


def move_clock(batches: Batches, ahead_s: float) -> None:
    """Let the claims of a fresh process be as old."""
    table = batches.app.settings.response_cache_table
    batches.app.__dict__["idempotency"] = IdempotencyStore(table, lambda: time.time() + ahead_s)


def test_the_same_key_makes_one_batch_and_replays_it_as_it_was_made(
    batches: Batches, file_id: str, fake: FakeProvider
) -> None:
    first, second = create(batches, file_id), create(batches, file_id)
    assert (first.status, second.raw) == (200, first.raw)
    assert second.headers[REPLAYED] == ["true"]
    assert ids(batches) == [first.body["id"]]
    batches.run_until(first.body["id"])
    assert create(batches, file_id).body["status"] == "validating"
    assert sorted(asked(fake)) == ["Hello, q1.", "Hello, q2."]


def test_without_a_key_each_request_makes_a_batch(batches: Batches, file_id: str) -> None:
    create(batches, file_id, {})
    create(batches, file_id, {})
    assert len(ids(batches)) == 2


def test_the_same_key_for_another_batch_is_refused(batches: Batches, file_id: str) -> None:
    create(batches, file_id)
    other = create(batches, file_id, priority="high")
    assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")
    assert len(ids(batches)) == 1


def test_two_at_the_same_moment_make_one_batch(batches: Batches, file_id: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: create(batches, file_id), range(4)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(ids(batches)) == 1


@pytest.mark.parametrize(
    "where",
    [
        "sluice.batches.store.BatchStore.create",
        "sluice.storage.queues.Queue.send",
        "sluice.idempotency.store.IdempotencyStore.keep",
    ],
)
def test_a_batch_whose_maker_died_is_the_one_that_the_same_key_makes(
    batches: Batches, file_id: str, fake: FakeProvider, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, die)
        with pytest.raises(DiedError):
            create(batches, file_id)
    assert create(batches, file_id).status == 409
    move_clock(batches, 41)
    again = create(batches, file_id)
    assert (again.status, ids(batches)) == (200, [again.body["id"]])
    assert batches.run_until(again.body["id"])["status"] == "completed"
    assert sorted(asked(fake)) == ["Hello, q1.", "Hello, q2."]


def test_a_batch_that_could_not_be_queued_is_queued_by_the_next_request_with_its_key(
    batches: Batches, file_id: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageUnavailableError("the queue does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("sluice.storage.queues.Queue.send", fail)
        assert create(batches, file_id).status == 503
    again = create(batches, file_id)
    assert (again.status, ids(batches)) == (200, [again.body["id"]])
    assert batches.run_until(again.body["id"])["status"] == "completed"
    assert len(asked(fake)) == 2


def test_a_day_later_the_same_key_makes_another_batch(
    batches: Batches, file_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(batches, file_id)
    move_clock(batches, KEPT_S + 60)
    monkeypatch.setattr("sluice.batches.intake._MADE_ONCE_S", -60)
    assert create(batches, file_id).status == 200
    assert len(ids(batches)) == 2
