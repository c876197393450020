"""Documents are written whole or not at all, in the order of their versions."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from sluice.errors import InvalidRequestError, NotFoundError
from sluice.knowledge.document import Outcome, key_of
from sluice.knowledge.vector_store import Generation
from sluice.knowledge.writer import NewDocument
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.stores import DiedError, Knowledge, die, document, embeds
from tests.tenants import ADMIN, key_id

LONG = " ".join(f"Sentence number {number} is about something else." for number in range(400))
KEY = key_of("jira:PROJ-1")


def write(knowledge: Knowledge, *args: Any, **fields: Any) -> Any:
    return knowledge.app.document_writer.write(knowledge.principal, knowledge.store.id, document(*args, **fields))


def record(knowledge: Knowledge) -> Any:
    return knowledge.app.store_documents.find(knowledge.store, KEY)


def is_whole(knowledge: Knowledge) -> bool:
    """Whether texts and vectors are those of the document's current revision, and all of them."""
    found = record(knowledge)
    prefix = f"{KEY}#{found.current}#"
    texts = [each.rpartition("/")[2] for each in knowledge.items("STORES_TABLE", "texts#")]
    vectors = [each.rpartition("/")[2] for each in knowledge.items("VECTORS_TABLE")]
    return texts == vectors and len(texts) == found.chunks and all(each.startswith(prefix) for each in texts)


def test_a_text_is_found_by_its_meaning_once_it_is_written(knowledge: Knowledge) -> None:
    written = write(knowledge, "Printers jam on Mondays.", title="Printers", attributes={"team": "it"})
    assert (written.outcome, written.chunks) == (Outcome.WRITTEN, 1)
    assert knowledge.found("Printers jam on Mondays.") == ["Printers jam on Mondays."]
    assert (record(knowledge).title, record(knowledge).attributes) == ("Printers", {"team": "it"})
    assert not knowledge.items("STORES_TABLE", "open#")


def test_a_text_that_is_there_costs_nothing_and_its_attributes_change(knowledge: Knowledge, fake: FakeProvider) -> None:
    write(knowledge, "A text.", attributes={"state": "open"})
    before = len(fake.requests())
    written = write(knowledge, "A text.", version="2026-01-02", attributes={"state": "done"})
    assert written.outcome is Outcome.UNCHANGED
    assert len(fake.requests()) == before
    assert (record(knowledge).version, record(knowledge).attributes) == ("2026-01-02", {"state": "done"})


def test_a_new_text_leaves_nothing_of_the_old(knowledge: Knowledge) -> None:
    assert write(knowledge, LONG).chunks > 3
    write(knowledge, "Short now.", version="2026-01-02")
    assert knowledge.found("Short now.") == ["Short now."]
    assert is_whole(knowledge)


def test_an_older_version_is_ignored(knowledge: Knowledge) -> None:
    write(knowledge, "The newer.", version="2026-01-02")
    assert write(knowledge, "The older.", version="2026-01-01").outcome is Outcome.OLDER
    assert knowledge.found("The older.") == ["The newer."]
    assert is_whole(knowledge)


def test_what_was_deleted_stays_so_for_older_messages_and_comes_back_with_a_later_one(knowledge: Knowledge) -> None:
    write(knowledge, "A text.")
    writer, store = knowledge.app.document_writer, knowledge.store.id
    assert writer.delete(knowledge.principal, store, "jira:PROJ-1", "2026-01-02")
    assert not writer.delete(knowledge.principal, store, "jira:PROJ-1", "2026-01-02")
    assert not knowledge.items("VECTORS_TABLE")
    assert not knowledge.items("STORES_TABLE", "texts#")
    for version in ("2026-01-01", "2026-01-02"):
        assert write(knowledge, "A text.", version=version).outcome is Outcome.OLDER
    assert write(knowledge, "A text.", version="2026-01-02T00:00").outcome is Outcome.WRITTEN
    assert is_whole(knowledge)


def test_a_deletion_that_comes_before_what_it_deletes_holds(knowledge: Knowledge) -> None:
    writer, store = knowledge.app.document_writer, knowledge.store.id
    assert not writer.delete(knowledge.principal, store, "jira:PROJ-1", "2026-01-02")
    assert write(knowledge, "A text.", version="2026-01-01").outcome is Outcome.OLDER
    assert not knowledge.items("VECTORS_TABLE")


def test_without_a_provider_a_text_is_kept_and_embedded_later(
    knowledge: Knowledge, aws: Aws, fake: FakeProvider
) -> None:
    aws.set_credentials()
    knowledge.restart()
    written = write(knowledge, "A text.")
    assert (written.outcome, written.chunks) == (Outcome.KEPT_WITHOUT_VECTORS, 1)
    assert "embed" in written.reason
    assert record(knowledge).reason == written.reason
    assert knowledge.items("STORES_TABLE", "open#")
    embeds(aws, fake)
    knowledge.restart()
    writer = knowledge.app.document_writer
    [completed] = writer.complete(knowledge.principal, knowledge.store.id, [record(knowledge)])
    assert completed.outcome is Outcome.WRITTEN
    assert knowledge.found("A text.") == ["A text."]
    assert is_whole(knowledge)
    assert not record(knowledge).reason


def test_of_one_document_that_is_given_several_times_the_latest_and_last_is_written_once(
    knowledge: Knowledge, aws: Aws, fake: FakeProvider
) -> None:
    versions = [("Second.", "2"), ("First.", "1"), ("Last.", "2")]
    given = [NewDocument(document(text, version=version)) for text, version in versions]
    aws.set_credentials()
    knowledge.restart()
    writer, store = knowledge.app.document_writer, knowledge.store.id
    expected = [Outcome.OLDER, Outcome.OLDER, Outcome.KEPT_WITHOUT_VECTORS]
    # The second time it waits already.
    for _ in range(2):
        assert [each.outcome for each in writer.write_all(knowledge.principal, store, given)] == expected
    embeds(aws, fake)
    knowledge.restart()
    writer = knowledge.app.document_writer
    made = writer.complete(knowledge.principal, store, [record(knowledge)] * 2)
    assert [each.outcome for each in made] == [Outcome.WRITTEN] * 2
    assert [each["body"]["input"] for each in fake.requests()] == [["Last."]]
    assert knowledge.found("Last.") == ["Last."]
    assert is_whole(knowledge)


def test_while_a_new_text_waits_for_vectors_the_old_one_is_found(
    knowledge: Knowledge, aws: Aws, fake: FakeProvider
) -> None:
    write(knowledge, "The old.")
    aws.set_credentials()
    knowledge.restart()
    assert write(knowledge, "The new.", version="2026-01-02").outcome is Outcome.KEPT_WITHOUT_VECTORS
    assert knowledge.found("The old.") == ["The old."]
    embeds(aws, fake)
    knowledge.restart()
    # The same message again is enough.
    assert write(knowledge, "The new.", version="2026-01-02").outcome is Outcome.WRITTEN
    assert knowledge.found("The new.") == ["The new."]
    assert is_whole(knowledge)


@pytest.mark.parametrize(
    "where",
    [
        ("store_documents", "put_texts"),
        ("vector_index", "put"),
        ("store_documents", "change"),
        ("vector_index", "delete"),
        ("store_documents", "delete_texts"),
        ("store_work", "done"),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_a_process_that_dies_between_two_steps_leaves_nothing_for_good(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch, where: tuple[str, str], is_late: bool
) -> None:
    write(knowledge, LONG)
    part, method = where
    real = getattr(getattr(knowledge.app, part), method)

    def and_die(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        die()

    with monkeypatch.context() as patch:
        patch.setattr(getattr(knowledge.app, part), method, and_die if is_late else die)
        with pytest.raises(DiedError):
            write(knowledge, "Short now.", version="2026-01-02")
    knowledge.restart()
    # An hour later what is still written down as begun is looked after.
    app = knowledge.app
    clock = app.document_writer._clock
    monkeypatch.setattr(app.document_writer, "_clock", lambda: clock() + 3_700)
    open_work = knowledge.items("STORES_TABLE", "open#")
    if is_late and method == "done":
        assert not open_work
    else:
        assert open_work
    app.document_writer.repair(knowledge.principal, knowledge.store.id, KEY)
    assert is_whole(knowledge)
    write(knowledge, "Short now.", version="2026-01-02")
    assert knowledge.found("Short now.") == ["Short now."]
    assert is_whole(knowledge)


@pytest.mark.parametrize("versions", [("2026-01-02", "2026-01-03"), ("2026-01-03", "2026-01-02"), ("2026-01-02",) * 2])
def test_of_two_writers_at_one_moment_one_wins_whole(knowledge: Knowledge, versions: tuple[str, str]) -> None:
    write(knowledge, LONG)
    barrier = Barrier(2)
    embed = knowledge.app.store_embedder.embed

    def together(*args: Any) -> Any:
        embedded = embed(*args)
        barrier.wait(20)
        return embedded

    knowledge.app.store_embedder.embed = together  # type: ignore[method-assign, assignment]
    texts = ["One of two.", "The other of the two."]
    with ThreadPoolExecutor(2) as threads:
        writing = [
            threads.submit(write, knowledge, text, version=version)
            for text, version in zip(texts, versions, strict=True)
        ]
        outcomes = {each.result().outcome for each in writing}
    assert Outcome.WRITTEN in outcomes
    assert is_whole(knowledge)
    if versions[0] != versions[1]:
        assert record(knowledge).version == max(versions)
        assert knowledge.found("x") == [texts[versions.index(max(versions))]]


def test_what_is_due_is_sent_again_and_struck_off_once_it_is_done(
    knowledge: Knowledge, aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.set_credentials()
    knowledge.restart()
    write(knowledge, "A text.")
    embeds(aws, fake)
    knowledge.restart()
    assert knowledge.hourly() == 0
    assert knowledge.deliver() == 0
    clock = time.time
    monkeypatch.setattr(knowledge.app.store_work, "_clock", lambda: clock() + 7_300)
    assert knowledge.hourly() == 1
    assert knowledge.deliver() == 1
    assert knowledge.found("A text.") == ["A text."]
    assert not knowledge.items("STORES_TABLE", "open#")


def test_work_of_a_key_that_was_revoked_is_not_done(
    knowledge: Knowledge, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.set_credentials()
    knowledge.restart()
    write(knowledge, "A text.")
    knowledge.app.administration.revoke_key(key_id(knowledge.api_key), ADMIN)
    knowledge.restart()
    clock = time.time
    monkeypatch.setattr(knowledge.app.store_work, "_clock", lambda: clock() + 7_300)
    assert knowledge.hourly() == 1
    assert knowledge.deliver() == 1
    assert not knowledge.items("STORES_TABLE", "open#")


def test_a_store_of_another_tenant_is_not_there(knowledge: Knowledge) -> None:
    other = knowledge.new_store("globex")
    with pytest.raises(NotFoundError):
        knowledge.app.document_writer.write(knowledge.principal, other.id, document("A text."))
    with pytest.raises(NotFoundError):
        knowledge.app.document_writer.delete(knowledge.principal, other.id, "jira:PROJ-1", "2026-01-01")


def test_what_is_written_while_a_generation_is_made_goes_to_both(knowledge: Knowledge) -> None:
    write(knowledge, "Before.", id="a")
    following = Generation(number=2, model="embed", dimensions=256)
    embed = knowledge.app.store_embedder.embed

    def begun_meanwhile(*args: Any) -> Any:
        embedded = embed(*args)
        knowledge.app.stores.change(knowledge.store, {"next": following, "epoch": 1})
        return embedded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knowledge.app.store_embedder, "embed", begun_meanwhile)
        write(knowledge, "Meanwhile.")
    assert record(knowledge).generations == (1, 2)
    write(knowledge, "After.", id="b")
    scopes = [each.partition("/")[0].rpartition("#")[2] for each in knowledge.items("VECTORS_TABLE")]
    assert sorted(scopes) == ["1", "1", "1", "2", "2"]


def test_what_is_written_while_its_store_is_deleted_goes_with_it(knowledge: Knowledge) -> None:
    embed = knowledge.app.store_embedder.embed

    def deleted_meanwhile(*args: Any) -> Any:
        embedded = embed(*args)
        knowledge.app.stores.mark_deleted(knowledge.store)
        return embedded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knowledge.app.store_embedder, "embed", deleted_meanwhile)
        write(knowledge, LONG)
    assert not knowledge.items("VECTORS_TABLE")
    assert not knowledge.items("STORES_TABLE", "texts#")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": ""}, "id"),
        ({"kind": "Jira Issue"}, "kind"),
        ({"version": ""}, "version"),
        ({"attributes": {str(number): 1 for number in range(17)}}, "attributes"),
        ({"attributes": {"a" * 65: 1}}, "attributes"),
        ({"attributes": {"a": "b" * 513}}, "attributes"),
        ({"attributes": {"a": float("nan")}}, "attributes"),
    ],
)
def test_what_no_store_takes_is_refused(knowledge: Knowledge, change: dict[str, Any], named: str) -> None:
    wrong = replace(document("A text."), **change)
    with pytest.raises(InvalidRequestError, match=named):
        knowledge.app.document_writer.write(knowledge.principal, knowledge.store.id, wrong)
