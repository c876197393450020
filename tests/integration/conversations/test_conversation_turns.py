"""Turns of a conversation: claimed, added whole, given up without a trace, and never two at once."""

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice.chat import Message
from sluice.conversations.conversation import Claim, Owner
from sluice.conversations.reader import ConversationReader
from sluice.conversations.store import TTL_S, ConversationStore
from sluice.errors import ConflictError, NotFoundError, StorageUnavailableError
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.conversations import ANN, Clock, add, heard, items, said, texts, turn
from tests.dynamodb_calls import counting

pytestmark = ON_BOTH_EMULATORS

DAY_S = 86_400


def test_a_turn_hears_those_before_it_in_their_order(store: ConversationStore) -> None:
    for text in ("one", "two", "three"):
        add(store, text)
    claim = store.claim(ANN, "c", "req", hold_s=60)
    assert claim.sequence == 4
    assert heard(store, claim) == ["one?", "one.", "two?", "two.", "three?", "three."]
    assert heard(store, claim, most_turns=1) == ["three?", "three."]


def test_messages_come_back_as_they_were(store: ConversationStore) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        Message.model_validate(each)
        for each in (
            {
                "role": "user",
                "name": "ann",
                "content": [{"type": "text", "text": "你好 \ud83d"}, {"type": "x", "y": [1.5]}],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        )
    ]
    claim = store.claim(ANN, "c", "r1", hold_s=60)
    assert store.complete(claim, messages, [said("system", "Be brief.")])
    claim = store.claim(ANN, "c", "r2", hold_s=60)
    assert claim.system == (said("system", "Be brief."),)
    (found,) = store.history(claim, 5)
    assert list(found.messages) == messages
    assert [each.model_dump(exclude_unset=True) for each in found.messages] == [
        each.model_dump(exclude_unset=True) for each in messages
    ]


def test_a_turn_costs_a_claim_a_query_and_a_transaction(store: ConversationStore) -> None:
    with counting() as sent:
        add(store, "one")
    assert sent == ["UpdateItem", "TransactWriteItems"]
    with counting() as sent:
        add(store, "two")
    assert sent == ["UpdateItem", "Query", "TransactWriteItems"]
    store.claim(ANN, "c", "r1", hold_s=60)
    with counting() as sent, pytest.raises(ConflictError):
        store.claim(ANN, "c", "r2", hold_s=60)
    assert sent == ["UpdateItem"]


def test_the_second_of_two_turns_at_once_is_refused_until_the_first_has_ended(store: ConversationStore) -> None:
    first = store.claim(ANN, "c", "r1", hold_s=60)
    with pytest.raises(ConflictError) as refused:
        store.claim(ANN, "c", "r2", hold_s=60)
    assert refused.value.status == 409
    assert refused.value.code == "conversation_busy"
    assert store.complete(first, turn("one"), ())
    assert heard(store, store.claim(ANN, "c", "r2", hold_s=60)) == ["one?", "one."]


def test_the_request_that_holds_a_claim_may_ask_for_it_again(store: ConversationStore) -> None:
    add(store, "one")
    first = store.claim(ANN, "c", "r1", hold_s=60)
    assert store.claim(ANN, "c", "r1", hold_s=60) == first
    assert store.complete(first, turn("two"), ())
    # Its turn has been added: there is nothing left to complete.
    assert not store.complete(first, turn("two"), ())
    assert heard(store, store.claim(ANN, "c", "r2", hold_s=60)) == ["one?", "one.", "two?", "two."]


def test_of_many_threads_one_has_the_turn(store: ConversationStore) -> None:
    starting = threading.Barrier(8)

    def claim(number: int) -> str:
        starting.wait()
        try:
            store.claim(ANN, "c", f"r{number}", hold_s=60)
        except ConflictError:
            return "refused"
        return "claimed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(claim, range(8)))
    assert sorted(outcomes) == ["claimed"] + ["refused"] * 7


def test_turns_that_compete_are_all_added_whole_and_in_an_order(
    aws: Aws, store: ConversationStore, reader: ConversationReader
) -> None:
    heard_before: dict[str, list[str]] = {}

    def talk(speaker: int) -> None:
        pause = random.Random(speaker)
        for number in range(5):
            text = f"{speaker}-{number}"
            while True:
                try:
                    claim = store.claim(ANN, "c", f"req-{text}", hold_s=60)
                except ConflictError:
                    time.sleep(pause.uniform(0.001, 0.01))
                    continue
                heard_before[text] = heard(store, claim, most_turns=100)
                assert store.complete(claim, turn(text), ())
                break

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(talk, range(6)))
    found = texts(reader)
    assert len(found) == 60
    for position in range(0, 60, 2):
        text = found[position].removesuffix("?")
        assert found[position + 1] == f"{text}."
        # Everybody heard exactly what was said before.
        assert heard_before[text] == found[:position]
    for speaker in range(6):
        order = [text for text in found if text.startswith(f"{speaker}-") and text.endswith("?")]
        assert order == [f"{speaker}-{number}?" for number in range(5)]


PROCESS = """
import os, random, sys, time
from sluice.chat import Message
from sluice.conversations.conversation import Owner
from sluice.conversations.store import ConversationStore
from sluice.errors import ConflictError
store, me = ConversationStore(os.environ["CONVERSATIONS_TABLE"]), sys.argv[1]
for number in range(5):
    while True:
        try:
            claim = store.claim(Owner("acme", "key1"), "c", f"{me}-{number}", hold_s=60)
        except ConflictError:
            time.sleep(random.uniform(0.001, 0.01))
            continue
        history = store.history(claim, 100)
        assert len(history) == claim.sequence - 1
        said = [{"role": "user", "content": f"{me}-{number}?"}, {"role": "assistant", "content": f"{me}-{number}."}]
        assert store.complete(claim, [Message.model_validate(each) for each in said], ())
        break
"""


def test_processes_that_compete_add_every_turn_once(aws: Aws, reader: ConversationReader) -> None:
    environment = aws.process_environment()
    talking = [subprocess.Popen([sys.executable, "-c", PROCESS, str(me)], env=environment) for me in range(3)]
    assert [process.wait(60) for process in talking] == [0, 0, 0]
    found = texts(reader)
    assert sorted(found[::2]) == [f"{me}-{number}?" for me in range(3) for number in range(5)]
    assert [text.replace("?", ".") for text in found[::2]] == found[1::2]


CRASH = """
import os
from sluice.conversations.conversation import Owner
from sluice.conversations.store import ConversationStore
ConversationStore(os.environ["CONVERSATIONS_TABLE"]).claim(Owner("acme", "key1"), "c", "crashed", hold_s=30)
os._exit(9)
"""


@pytest.mark.parametrize("turns", [0, 2])
def test_the_claim_of_a_process_that_died_runs_out_and_leaves_nothing(
    turns: int, aws: Aws, clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    for number in range(turns):
        add(store, str(number))
    assert subprocess.run([sys.executable, "-c", CRASH], env=aws.process_environment(), check=False).returncode == 9
    clock.now_s = time.time() + 28
    with pytest.raises(ConflictError):
        store.claim(ANN, "c", "r1", hold_s=60)
    clock.now_s += 4
    if not turns:
        with pytest.raises(NotFoundError):
            texts(reader)
    claim = store.claim(ANN, "c", "r1", hold_s=60)
    assert claim.sequence == turns + 1
    assert len(store.history(claim, 5)) == turns
    assert store.complete(claim, turn("last"), ())
    assert texts(reader)[-2:] == ["last?", "last."]


def test_whoever_is_too_late_adds_nothing(clock: Clock, store: ConversationStore, reader: ConversationReader) -> None:
    late = store.claim(ANN, "c", "late", hold_s=30)
    clock.now_s += 31
    prompt = store.claim(ANN, "c", "prompt", hold_s=30)
    assert prompt.sequence == late.sequence
    assert not store.complete(late, turn("late"), ())
    store.abandon(late)
    assert store.complete(prompt, turn("prompt"), ())
    assert not store.complete(late, turn("late"), ())
    assert texts(reader) == ["prompt?", "prompt."]


def test_a_claim_that_ran_out_and_that_nobody_took_still_holds(clock: Clock, store: ConversationStore) -> None:
    add(store, "one")
    claim = store.claim(ANN, "c", "slow", hold_s=30)
    clock.now_s += 31
    assert store.complete(claim, turn("slow"), ())


def test_a_turn_that_is_given_up_leaves_no_trace(aws: Aws, store: ConversationStore) -> None:
    store.abandon(store.claim(ANN, "c", "r1", hold_s=60))
    assert items(aws) == []
    add(store, "one")
    before = items(aws)
    claim = store.claim(ANN, "c", "r2", hold_s=60)
    assert items(aws) != before
    store.abandon(claim)
    store.abandon(claim)
    assert items(aws) == before


def test_a_conversation_is_forgotten_when_its_time_is_up_though_it_is_still_there(
    aws: Aws, clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    for text in ("one", "two", "three"):
        add(store, text)
    clock.now_s += TTL_S - 1
    assert len(texts(reader)) == 6
    clock.now_s += 1
    with pytest.raises(NotFoundError):
        texts(reader)
    assert len(items(aws)) == 4
    claim = store.claim(ANN, "c", "r", hold_s=60)
    assert claim.sequence == 1
    assert heard(store, claim) == []
    assert store.complete(claim, turn("new"), ())
    assert heard(store, store.claim(ANN, "c", "r", hold_s=60)) == ["new?", "new."]
    assert texts(reader) == ["new?", "new."]


def test_somebody_else_may_use_an_id_whose_conversation_is_forgotten(clock: Clock, store: ConversationStore) -> None:
    add(store, "one")
    bob = Owner("acme", "key2")
    with pytest.raises(NotFoundError):
        store.claim(bob, "c", "r", hold_s=60)
    clock.now_s += TTL_S
    assert heard(store, store.claim(bob, "c", "r", hold_s=60)) == []


def test_each_turn_gives_the_conversation_its_whole_time_again(
    aws: Aws, clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    add(store, "one")
    for day in range(1, 4):
        clock.now_s += 29 * DAY_S
        add(store, f"day {day}")
    clock.now_s += 29 * DAY_S
    assert texts(reader)[:2] == ["one?", "one."]
    # DynamoDB deletes by what stands in the item.
    assert all(int(item["expires_at"]["N"]) > clock.now_s for item in items(aws))


def test_turns_of_a_day_are_not_written_anew(store: ConversationStore, clock: Clock, aws: Aws) -> None:
    add(store, "one")
    before = {item["sequence"]["N"]: item for item in items(aws)}
    clock.now_s += DAY_S - 1
    add(store, "two")
    after = {item["sequence"]["N"]: item for item in items(aws)}
    assert after["1"] == before["1"]
    assert int(after["1"]["expires_at"]["N"]) >= int(after["0"]["expires_at"]["N"])


def test_a_turn_that_was_deleted_for_its_age_meanwhile_does_not_stop_the_next(
    aws: Aws, clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    add(store, "one")
    clock.now_s += 29 * DAY_S
    claim = store.claim(ANN, "c", "r", hold_s=60)
    history = store.history(claim, 5)
    aws.dynamodb.delete_item(
        TableName=aws.table("CONVERSATIONS_TABLE"), Key={"conversation": {"S": "acme#c"}, "sequence": {"N": "1"}}
    )
    assert store.complete(claim, turn("two"), (), history)
    found = reader.read(ANN, "c", before=None, limit=10)
    assert [each.sequence for each in found.turns] == [2]


def test_tenants_users_and_keys_do_not_meet(store: ConversationStore) -> None:
    add(store, "one", owner=ANN)
    for other in (Owner("acme", "key2"), Owner("acme", "key1", "ann"), Owner("acme", "key1", "")):
        with pytest.raises(NotFoundError) as refused:
            store.claim(other, "c", "r", hold_s=60)
        assert refused.value.status == 404
    assert heard(store, store.claim(Owner("other", "key1"), "c", "r", hold_s=60)) == []
    # Also while it is busy: whether it is, is nobody else's business.
    store.claim(ANN, "c", "r", hold_s=60)
    with pytest.raises(NotFoundError):
        store.claim(Owner("acme", "key2"), "c", "r2", hold_s=60)


def test_a_corrupt_turn_is_as_good_as_forgotten_and_counted(
    aws: Aws, store: ConversationStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("one", "two", "three"):
        add(store, text)
    aws.dynamodb.update_item(
        TableName=aws.table("CONVERSATIONS_TABLE"),
        Key={"conversation": {"S": "acme#c"}, "sequence": {"N": "2"}},
        UpdateExpression="SET #messages = :torn",
        ExpressionAttributeNames={"#messages": "messages"},
        ExpressionAttributeValues={":torn": {"B": b"torn"}},
    )
    claim = store.claim(ANN, "c", "r", hold_s=60)
    assert heard(store, claim) == ["one?", "one.", "three?", "three."]
    assert '"ConversationCorrupt"' in capsys.readouterr().out


def test_large_turns_are_read_though_they_come_in_several_answers(store: ConversationStore) -> None:
    noise = random.Random(1).randbytes(120_000).hex()
    for number in range(9):
        claim = store.claim(ANN, "c", f"r{number}", hold_s=60)
        assert store.complete(claim, [said("user", f"{number}{noise}{noise[::-1]}"), said("assistant", "Yes.")], ())
    claim = store.claim(ANN, "c", "r", hold_s=60)
    assert [text[0] for text in heard(store, claim, most_turns=8)[::2]] == list("12345678")


def test_a_table_that_does_not_answer_is_an_error(aws: Aws) -> None:
    missing = ConversationStore(aws.table("CONVERSATIONS_TABLE") + "-gone")
    with pytest.raises(StorageUnavailableError, match="UpdateItem: ResourceNotFoundException"):
        missing.claim(ANN, "c", "r", hold_s=60)
    claim = Claim(ANN, "c", "r", 2, ())
    with pytest.raises(StorageUnavailableError, match="Query: ResourceNotFoundException"):
        missing.history(claim, 5)
    with pytest.raises(StorageUnavailableError, match="TransactWriteItems: ResourceNotFoundException"):
        missing.complete(claim, turn("one"), ())
    with pytest.raises(StorageUnavailableError, match="UpdateItem: ResourceNotFoundException"):
        missing.abandon(claim)
