"""Batches whose messages come twice or late, whose workers die, and that are cancelled or run out of time."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.batch_worker.app import LINE_ROUTES
from sluice.api.batch_lines import BatchLineApi
from sluice.api.messages import MOST_RECEIVES
from sluice.batches.lines import LineStore
from sluice.batches.splitting import Splitting
from sluice.batches.work import MOST_MESSAGES
from sluice.storage.item_types import to_item
from tests.batches import Batches, DiedError, asked, die, line
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.tenants import key_id


def change_batch(aws: Aws, batch_id: str, **values: Any) -> None:
    [key] = [
        {name: item[name] for name in ("collection", "entry")}
        for item in aws.items("BATCHES_TABLE")
        if item["entry"]["S"] == batch_id and item["collection"]["S"].startswith("batches#")
    ]
    for name, value in values.items():
        aws.client.call(
            "UpdateItem",
            {
                "TableName": aws.table("BATCHES_TABLE"),
                "Key": key,
                "UpdateExpression": "SET #n = :v",
                "ExpressionAttributeNames": {"#n": name},
                "ExpressionAttributeValues": to_item({":v": value}),
            },
        )


def test_a_message_that_comes_twice_at_the_same_moment_asks_each_line_once(
    batches: Batches, fake: FakeProvider
) -> None:
    batch_id = batches.create([line(f"q{number}") for number in range(10)])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    message = batches.peek("BATCH_LINES_QUEUE")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: batches.hand("BATCH_LINES_QUEUE", message), range(4)))
    batch = batches.run_until(batch_id)
    assert batch["request_counts"]["completed"] == 10
    assert sorted(asked(fake)) == sorted(f"Hello, q{number}." for number in range(10))
    assert batch["sluice"]["asked_again"] == 0


def test_who_dies_between_the_answer_and_its_write_leaves_a_line_that_is_asked_again_and_counted(
    batches: Batches, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = batches.create([line("a")])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    message = batches.peek("BATCH_LINES_QUEUE")
    with monkeypatch.context() as patched:
        patched.setattr(LineStore, "end", die)
        with pytest.raises(DiedError):
            batches.hand("BATCH_LINES_QUEUE", message)
    assert len(fake.requests()) == 1
    # While whoever asks it may still live, nobody else does.
    batches.hand("BATCH_LINES_QUEUE", message)
    assert len(fake.requests()) == 1
    later = time.time() + 300
    monkeypatch.setattr(batches.worker.batch_stores.lines, "_clock", lambda: later)
    batch = batches.run_until(batch_id)
    assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
    assert batch["sluice"]["asked_again"] == 1


def test_a_chunk_that_was_written_down_as_sent_and_was_not_is_sent_by_the_next(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = batches.create([line("a")])["id"]
    message = batches.peek("BATCH_JOBS_QUEUE")
    with monkeypatch.context() as patched:
        patched.setattr(batches.jobs.batch_stores.work._queue, "send", die)
        with pytest.raises(DiedError):
            batches.hand("BATCH_JOBS_QUEUE", message)
    assert batches.waiting("BATCH_LINES_QUEUE")["there"] == 0
    later = time.time() + 61
    for app in (batches.worker, batches.jobs):
        monkeypatch.setattr(app.batch_stores.work, "_clock", lambda: later)
    batch = batches.run_until(batch_id)
    assert batch["request_counts"]["completed"] == 1


def test_a_cancelled_batch_asks_no_more_and_keeps_what_was_answered(batches: Batches, fake: FakeProvider) -> None:
    batch_id = batches.create([line(f"q{number}") for number in range(15)])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    message = batches.peek("BATCH_LINES_QUEUE")
    batches.hand("BATCH_LINES_QUEUE", message)
    answered = len(fake.requests())
    cancelled = batches.send(f"POST /v1/batches/{batch_id}/cancel").body
    assert cancelled["status"] == "cancelling"
    began_s = time.monotonic()
    batch = batches.run_until(batch_id)
    assert time.monotonic() - began_s < 10
    assert batch["status"] == "cancelled"
    assert len(fake.requests()) == answered
    assert batch["request_counts"] == {"total": 15, "completed": answered, "failed": 0}
    assert len(batches.content(batch["output_file_id"])) == answered
    errors = batches.content(batch["error_file_id"])
    assert len(errors) == 15 - answered
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    assert batches.send(f"POST /v1/batches/{batch_id}/cancel").status == 409


def test_a_batch_that_is_cancelled_before_it_was_checked_asks_nothing(batches: Batches, fake: FakeProvider) -> None:
    batch_id = batches.create([line("a")])["id"]
    batches.send(f"POST /v1/batches/{batch_id}/cancel")
    assert batches.run_until(batch_id)["status"] == "cancelled"
    assert fake.requests() == []


def test_a_batch_whose_time_is_over_ends_with_what_there_is(batches: Batches, aws: Aws, fake: FakeProvider) -> None:
    batch_id = batches.create([line(f"q{number}") for number in range(12)])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    message = batches.peek("BATCH_LINES_QUEUE")
    batches.hand("BATCH_LINES_QUEUE", message)
    answered = len(fake.requests())
    change_batch(aws, batch_id, ends_by=int(time.time()) - 1)
    batch = batches.run_until(batch_id)
    assert batch["status"] == "expired"
    assert batch["request_counts"]["completed"] == answered
    assert len(fake.requests()) == answered
    errors = batches.content(batch["error_file_id"])
    assert {each["error"]["code"] for each in errors} == {"batch_expired"}
    assert len(errors) == 12 - answered


def test_the_lines_of_a_key_that_was_revoked_meanwhile_are_refused(
    batches: Batches, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = batches.create([line("a"), line("b")])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    batches.app.directory.revoke_key(key_id(batches.api_key), now=int(time.time()))
    batches.api_key = batches.key("acme")
    batches.restart()
    for _ in range(3):
        batches.deliver("BATCH_LINES_QUEUE")
        batches.deliver("BATCH_JOBS_QUEUE")
    assert fake.requests() == []
    ended = [item for item in batches.items() if item["collection"]["S"] == f"lines#{batch_id}"]
    assert [item["status"]["N"] for item in ended] == ["401", "401"]


def test_a_file_that_is_deleted_meanwhile_leaves_errors_for_what_was_not_asked(
    batches: Batches, fake: FakeProvider
) -> None:
    created = batches.create([line("a"), line("b")])
    batches.deliver("BATCH_JOBS_QUEUE")
    batches.send(f"DELETE /v1/files/{created['input_file_id']}")
    batch = batches.run_until(created["id"])
    assert batch["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
    assert fake.requests() == []
    assert batches.content(batch["error_file_id"])[0]["response"]["body"]["error"]["code"] == "input_file_deleted"


@pytest.mark.parametrize(
    "body",
    ["", "no JSON", "{}", json.dumps({"kind": "lines", "tenant": "a", "caller": "b", "batch": "c", "chunk": -1})],
)
def test_a_message_that_is_none_fails_and_nothing_else_does(batches: Batches, body: str) -> None:
    for queue in ("BATCH_LINES_QUEUE", "BATCH_JOBS_QUEUE"):
        assert batches.hand(queue, body)["batchItemFailures"] == [{"itemIdentifier": "a-message"}]


def test_a_message_of_a_batch_that_is_gone_is_done_with(batches: Batches) -> None:
    assert batches.tell("lines", "batch_0", caller="nobody") == {"batchItemFailures": []}
    for kind in ("split", "watch", "close"):
        assert batches.tell(kind, "batch_0", caller="nobody") == {"batchItemFailures": []}


def test_every_job_may_be_done_twice(batches: Batches, fake: FakeProvider) -> None:
    created = batches.create([line(f"q{number}") for number in range(3)])
    for _ in range(2):
        batches.tell("split", created["id"])
        batches.tell("watch", created["id"])
    batch = batches.run_until(created["id"])
    for kind in ("close", "split", "watch"):
        batches.tell(kind, created["id"])
    assert batches.get(created["id"]) == batch
    assert len(fake.requests()) == 3
    assert len(batches.content(batch["output_file_id"])) == 3


def is_work_gone(batches: Batches) -> bool:
    return not [item for item in batches.items() if item["collection"]["S"].startswith("work#")]


def test_a_batch_that_is_cancelled_while_it_is_checked_leaves_no_work_behind(
    batches: Batches, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = batches.create([line(f"q{number}") for number in range(3)])["id"]
    work = batches.jobs.batch_stores.work
    add = work.add

    def add_after_the_end(*arguments: Any) -> None:
        batches.send(f"POST /v1/batches/{batch_id}/cancel")
        batches.tell("close", batch_id)
        add(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(work, "add", add_after_the_end)
        batches.deliver("BATCH_JOBS_QUEUE")
    assert batches.get(batch_id)["status"] == "cancelled"
    assert is_work_gone(batches)
    assert fake.requests() == []


def test_who_dies_before_an_ended_batch_s_work_is_gone_keeps_nobody_from_theirs(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = batches.create([line("a")])["id"]
    with monkeypatch.context() as patched:
        patched.setattr(batches.jobs.batch_stores.work, "remove", die)
        with pytest.raises(DiedError):
            batches.run_until(first)
    assert batches.get(first)["status"] == "completed"
    assert not is_work_gone(batches)
    batches.tell("lines", first)
    batches.deliver("BATCH_JOBS_QUEUE")
    assert is_work_gone(batches)


def test_a_batch_whose_splitter_was_never_told_is_split_by_who_watches(batches: Batches) -> None:
    batch_id = batches.create([line("a")])["id"]
    batches.lose("BATCH_JOBS_QUEUE")
    batches.tell("watch", batch_id)
    assert batches.run_until(batch_id)["status"] == "completed"


def test_an_answer_that_was_not_kept_leaves_its_chunk_open(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_id = batches.create([line("a")])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    with monkeypatch.context() as patched:
        patched.setattr(batches.worker.batch_stores.lines, "end", lambda *_: False)
        batches.deliver("BATCH_LINES_QUEUE")
    assert batches.get(batch_id)["status"] == "in_progress"
    assert batches.waiting("BATCH_LINES_QUEUE")["delayed"] == 1


def test_a_splitter_that_comes_late_does_not_undo_what_has_ended(batches: Batches, fake: FakeProvider) -> None:
    batch_id = batches.create([line(f"q{number}") for number in range(12)])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    message = batches.peek("BATCH_LINES_QUEUE")
    batches.hand("BATCH_LINES_QUEUE", message)
    stores = batches.jobs.batch_stores
    found = stores.batches.read(f"acme#{batches.api_key.split('-')[1]}", batch_id)
    assert found is not None
    Splitting(found, BatchLineApi(LINE_ROUTES, batches.jobs), stores.lines).run(
        stores.files.pieces(stores.files.find(found.owner, found.input_file)), batches.jobs.batch_senders.find(found)
    )
    batches.hand("BATCH_LINES_QUEUE", message)
    batch = batches.run_until(batch_id)
    assert batch["request_counts"] == {"total": 12, "completed": 12, "failed": 0}
    assert len(fake.requests()) == 12


def test_of_two_splitters_at_once_the_later_leaves_the_work_of_the_first(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = batches.create([line(f"q{number}") for number in range(12)])["id"]
    work = batches.jobs.batch_stores.work
    add = work.add

    def add_after_another(*arguments: Any) -> None:
        monkeypatch.setattr(work, "add", add)
        batches.tell("split", batch_id)
        add(*arguments)

    monkeypatch.setattr(work, "add", add_after_another)
    batches.tell("split", batch_id)
    batch = batches.run_until(batch_id)
    assert batch["request_counts"] == {"total": 12, "completed": 12, "failed": 0}


def test_a_chunk_that_kills_whoever_asks_it_takes_the_place_of_no_other(
    batches: Batches, aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(limits={})}))
    monkeypatch.setenv("CALLER_REQUESTS_PER_MINUTE", "10000")
    batches.restart()
    batch_id = batches.create([line(f"q{number}") for number in range(10 * MOST_MESSAGES + 1)])["id"]
    batches.deliver("BATCH_JOBS_QUEUE")
    message = batches.peek("BATCH_LINES_QUEUE")
    with monkeypatch.context() as patched:
        patched.setattr(LineStore, "ended_numbers", die)
        for receives in range(1, MOST_RECEIVES + 1):
            assert batches.waiting("BATCH_LINES_QUEUE")["there"] == MOST_MESSAGES
            with pytest.raises(DiedError):
                batches.hand("BATCH_LINES_QUEUE", message, receives=receives)
    assert batches.waiting("BATCH_LINES_QUEUE")["there"] == MOST_MESSAGES + 1
    # It is asked all the same when it is sent again out of the dead letters.
    assert batches.run_until(batch_id)["request_counts"]["completed"] == 10 * MOST_MESSAGES + 1
