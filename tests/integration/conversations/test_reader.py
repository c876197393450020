"""Conversations as their owners see them: listed, read, deleted."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice.conversations.conversation import Owner
from sluice.conversations.reader import ConversationReader
from sluice.conversations.store import TTL_S, ConversationStore
from sluice.errors import ConflictError, InvalidRequestError, NotFoundError, StorageUnavailableError
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.conversations import ANN, Clock, add, heard, items, said, texts, turn

pytestmark = ON_BOTH_EMULATORS

BOB = Owner("acme", "key2")


def test_a_list_has_the_latest_first_and_only_the_owner_s(
    clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    for name in ("a", "b", "c:1"):
        add(store, "one", name)
        clock.now_s += 10
    add(store, "two", "a")
    add(store, "one", "bob-s", BOB)
    add(store, "one", "a", Owner("other", "key1"))
    found = reader.listing(ANN, page=None, limit=10)
    assert [(each.id, each.turns) for each in found.conversations] == [("a", 2), ("c:1", 1), ("b", 1)]
    assert found.next_page is None
    latest = found.conversations[0]
    assert latest.expires_at - latest.created_at == TTL_S + 30
    assert [each.id for each in reader.listing(BOB, page=None, limit=10).conversations] == ["bob-s"]
    assert reader.listing(Owner("acme", "key1", "ann"), page=None, limit=10).conversations == ()


def test_a_long_list_comes_in_pages(clock: Clock, store: ConversationStore, reader: ConversationReader) -> None:
    for number in range(5):
        add(store, "one", f"c:{number}")
        clock.now_s += number % 2
    seen, page = [], None
    while True:
        found = reader.listing(ANN, page=page, limit=2)
        seen += [each.id for each in found.conversations]
        assert len(found.conversations) <= 2
        if (page := found.next_page) is None:
            break
    assert sorted(seen) == [f"c:{number}" for number in range(5)]


@pytest.mark.parametrize("page", ["", "c", "12", "12:", "x:c", "-1:c", "1:#", "1" * 40 + ":c"])
def test_a_page_that_no_list_has_is_refused(page: str, reader: ConversationReader) -> None:
    with pytest.raises(InvalidRequestError, match="next_page"):
        reader.listing(ANN, page=page, limit=2)


def test_what_is_being_begun_or_forgotten_is_not_listed_or_read(
    clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    add(store, "one", "old")
    clock.now_s += TTL_S
    store.claim(ANN, "begun", "r", hold_s=60)
    assert reader.listing(ANN, page=None, limit=10).conversations == ()
    for name in ("old", "begun", "never"):
        with pytest.raises(NotFoundError):
            reader.read(ANN, name, before=None, limit=10)


def test_a_conversation_is_read_from_its_end_in_its_order(store: ConversationStore, reader: ConversationReader) -> None:
    claim = store.claim(ANN, "c", "r", hold_s=60)
    store.complete(claim, turn("1"), [said("system", "Be brief.")])
    for number in range(2, 6):
        claim = store.claim(ANN, "c", f"r{number}", hold_s=60)
        store.complete(claim, turn(str(number)), claim.system)
    under_way = store.claim(ANN, "c", "r6", hold_s=60)
    latest = reader.read(ANN, "c", before=None, limit=2)
    assert [message.text for each in latest.turns for message in each.messages] == ["4?", "4.", "5?", "5."]
    assert [message.text for message in latest.system] == ["Be brief."]
    assert latest.has_more
    assert latest.summary.turns == 5
    rest = reader.read(ANN, "c", before=4, limit=3)
    assert [each.sequence for each in rest.turns] == [1, 2, 3]
    assert not rest.has_more
    assert reader.read(ANN, "c", before=1, limit=3).turns == ()
    assert len(reader.read(ANN, "c", before=99, limit=9).turns) == 5
    assert store.complete(under_way, turn("6"), under_way.system)
    assert reader.read(ANN, "c", before=None, limit=1).turns[0].request_id == "r6"


def test_another_s_conversation_is_not_there(store: ConversationStore, reader: ConversationReader) -> None:
    add(store, "one")
    for other in (BOB, Owner("acme", "key1", "ann"), Owner("other", "key1")):
        with pytest.raises(NotFoundError):
            reader.read(other, "c", before=None, limit=10)
        with pytest.raises(NotFoundError):
            reader.delete(other, "c")
    assert texts(reader) == ["one?", "one."]


def test_a_deleted_conversation_leaves_nothing_and_its_id_is_free(
    aws: Aws, store: ConversationStore, reader: ConversationReader
) -> None:
    for number in range(30):
        add(store, str(number))
    add(store, "other", "d")
    reader.delete(ANN, "c")
    assert {item["conversation"]["S"] for item in items(aws)} == {"acme#d"}
    assert [each.id for each in reader.listing(ANN, page=None, limit=10).conversations] == ["d"]
    with pytest.raises(NotFoundError):
        reader.delete(ANN, "c")
    assert heard(store, store.claim(BOB, "c", "r", hold_s=60)) == []


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_turn_under_way_is_not_remembered_when_its_conversation_is_deleted(
    turns: int, aws: Aws, store: ConversationStore, reader: ConversationReader
) -> None:
    for number in range(turns):
        add(store, str(number))
    claim = store.claim(ANN, "c", "r", hold_s=60)
    reader.delete(ANN, "c")
    assert not store.complete(claim, turn("late"), ())
    store.abandon(claim)
    assert items(aws) == []
    # Nor when the id is already somebody's again.
    new = store.claim(BOB, "c", "r-bob", hold_s=60)
    assert not store.complete(claim, turn("late"), ())
    store.abandon(claim)
    assert store.complete(new, turn("new"), ())
    assert texts(reader, owner=BOB) == ["new?", "new."]


def test_deleting_while_turns_are_added_ends_with_what_was_begun_after_it(
    aws: Aws, store: ConversationStore, reader: ConversationReader
) -> None:
    for number in range(40):
        add(store, f"old-{number}")
    is_deleted = threading.Event()
    added: list[str] = []

    def talk(speaker: int) -> None:
        number = 0
        while not is_deleted.is_set() or number < 3:
            text = f"{speaker}-{number}"
            try:
                claim = store.claim(ANN, "c", text, hold_s=60)
            except ConflictError:
                time.sleep(0.002)
                continue
            history = heard(store, claim, most_turns=200)
            if store.complete(claim, turn(text), ()):
                added.append(f"{text} after {len(history)}")
            if is_deleted.is_set():
                number += 1

    def delete() -> None:
        time.sleep(0.05)
        reader.delete(ANN, "c")
        is_deleted.set()

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(talk, 0), pool.submit(talk, 1), pool.submit(delete)]:
            each.result()
    found = texts(reader)
    assert not any(text.startswith("old-") for text in found)
    assert len(items(aws)) == 1 + len(found) // 2
    # Every turn that was added after the deletion is there.
    assert added[-1].endswith(f" after {len(found) - 2}")


def test_a_deletion_that_was_cut_short_is_a_deletion(
    aws: Aws, clock: Clock, store: ConversationStore, reader: ConversationReader
) -> None:
    for number in range(4):
        add(store, str(number))
    assert reader._condemn(ANN, "c", "deletion_that_died")
    assert reader.listing(ANN, page=None, limit=10).conversations == ()
    with pytest.raises(NotFoundError):
        reader.read(ANN, "c", before=None, limit=10)
    with pytest.raises(ConflictError):
        store.claim(ANN, "c", "r", hold_s=60)
    clock.now_s += 901
    add(store, "new")
    assert texts(reader) == ["new?", "new."]
    reader.delete(ANN, "c")
    assert items(aws) == []


def test_deleting_once_more_finishes_a_deletion_that_was_cut_short(
    aws: Aws, store: ConversationStore, reader: ConversationReader
) -> None:
    add(store, "one")
    assert reader._condemn(ANN, "c", "deletion_that_died")
    reader.delete(ANN, "c")
    assert items(aws) == []


def test_a_table_that_does_not_answer_is_an_error(aws: Aws) -> None:
    missing = ConversationReader(aws.table("CONVERSATIONS_TABLE") + "-gone")
    with pytest.raises(StorageUnavailableError, match="Query: ResourceNotFoundException"):
        missing.listing(ANN, page=None, limit=10)
    with pytest.raises(StorageUnavailableError, match="GetItem: ResourceNotFoundException"):
        missing.read(ANN, "c", before=None, limit=10)
    with pytest.raises(StorageUnavailableError, match="UpdateItem: ResourceNotFoundException"):
        missing.delete(ANN, "c")
