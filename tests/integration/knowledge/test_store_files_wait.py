"""Files of vector stores that wait for a provider, or for quota."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from sluice.knowledge.embedder import NoVectorsError
from sluice.knowledge.open_work import OpenWork
from sluice.knowledge.vector_store import Generation
from sluice.tenants.principal import Principal
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.served_stores import Served
from tests.stores import embeds


def test_lines_that_wait_for_a_provider_are_embedded_together_then(
    served: Served, store: str, aws: Aws, fake: FakeProvider
) -> None:
    aws.set_credentials()
    served.knowledge.restart()
    lines = [{"id": f"doc-{number}", "text": f"Text {number}."} for number in range(30)]
    file_id = served.upload("\n".join(map(json.dumps, lines)), "texts.jsonl")
    served.stores.files.create(store, file_id=file_id)
    body = served.knowledge.peek()
    served.knowledge.hand(body)
    waiting = len(served.knowledge.items("STORES_TABLE", "open#"))
    served.knowledge.hand(body)
    # That they still wait is written down once for the file, and not again for each line.
    assert len(served.knowledge.items("STORES_TABLE", "open#")) == waiting + 1
    embeds(aws, fake)
    served.knowledge.restart()
    served.knowledge.hand(body)
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "completed"
    assert len(fake.requests()) == 1
    assert served.texts(store, "Text 7.", max_num_results=1) == ["Text 7."]


class Room:
    """An embedder with room for so many texts at once, and for so many in all."""

    def __init__(self, embed: Callable[..., Any], *, at_once: int, left: int) -> None:
        self._embed = embed
        self._at_once = at_once
        self.left = left
        self.embedded: list[str] = []

    def __call__(self, generation: Generation, texts: Sequence[str], principal: Principal) -> Any:
        if len(texts) > self._at_once:
            raise NoVectorsError("more than a limit ever has", may_pass=True, is_too_much=True)
        if len(texts) > self.left:
            raise NoVectorsError("used up", may_pass=True, retry_after_s=60)
        self.left -= len(texts)
        self.embedded += texts
        return self._embed(generation, texts, principal)


def test_a_file_of_more_than_a_limit_has_room_for_is_taken_in_as_there_is_and_nothing_is_paid_twice(
    served: Served, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = served.knowledge.app.store_embedder
    room = Room(embedder.embed, at_once=4, left=4)
    monkeypatch.setattr(embedder, "embed", room)
    text = " ".join(f"Sentence {number}." for number in range(1_500))
    file_id = served.upload(text)
    size = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    served.stores.files.create(store, file_id=file_id, chunking_strategy=cast(Any, size))
    queue: list[tuple[str, int]] = []
    monkeypatch.setattr(OpenWork, "send", lambda _, message, delay_s=0: queue.append((json.dumps(message), delay_s)))
    served.knowledge.deliver()
    rounds = 1
    while queue:
        [(body, delay_s)] = queue  # it is the file alone that comes again
        assert delay_s == 60
        assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "in_progress"
        queue.clear()
        room.left += 4
        served.knowledge.hand(body)
        rounds += 1
    # More often than what fails for no known time is tried.
    assert rounds > 12
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "completed"
    assert len(room.embedded) == len(set(room.embedded)) == len(served.knowledge.items("VECTORS_TABLE"))


def test_a_file_that_waits_for_quota_for_longer_than_a_day_is_given_up(
    served: Served, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = served.knowledge.app.store_embedder
    monkeypatch.setattr(embedder, "embed", Room(embedder.embed, at_once=4, left=0))
    file_id = served.upload("Later.")
    served.stores.files.create(store, file_id=file_id)
    body = json.loads(served.knowledge.peek())
    served.knowledge.hand(json.dumps({**body, "waited_s": 24 * 3_600}))
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "in_progress"
    served.knowledge.hand(json.dumps({**body, "waited_s": 27 * 3_600}))
    read = served.stores.files.retrieve(file_id, vector_store_id=store)
    assert read.status == "failed"
    assert read.last_error is not None
    assert read.last_error.message == "used up"


def test_a_file_waits_for_a_provider_and_is_taken_in_then(
    served: Served, store: str, aws: Aws, fake: FakeProvider
) -> None:
    aws.set_credentials()
    served.knowledge.restart()
    file_id = served.upload("Later.")
    served.stores.files.create(store, file_id=file_id)
    served.knowledge.deliver()
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "in_progress"
    embeds(aws, fake)
    served.knowledge.restart()
    app = served.knowledge.app
    file = app.attached_files.find(app.stores.find("acme", store), file_id)
    body = {"tenant": "acme", "caller": served.knowledge.principal.caller_id, "store": store, "kind": "file"}
    body |= {"file": file_id, "attempt": file.attempt}
    served.knowledge.hand(json.dumps(body))
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "completed"
    assert served.texts(store, "Later.") == ["Later."]
