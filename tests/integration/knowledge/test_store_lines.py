"""Files of lines: a document in each, with its vector or without."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sluice.knowledge import processing
from sluice.knowledge.embedder import NoVectorsError
from sluice.knowledge.lines import lines_of
from tests.fakes.client import FakeProvider
from tests.fakes.vectors import vector_of
from tests.served_stores import Served
from tests.stores import DIMENSIONS


def test_vectors_that_exist_elsewhere_come_in_as_lines(served: Served, store: str, fake: FakeProvider) -> None:
    lines = [
        {
            "id": f"doc-{number}",
            "text": f"Text {number}.",
            "vector": vector_of(f"Text {number}.", DIMENSIONS),
            "attributes": {"n": number},
            "title": f"Title {number}",
            "url": "https://example.com/",
        }
        for number in range(3)
    ]
    read = served.add(store, "\n".join(map(json.dumps, lines)), "vectors.jsonl")
    assert read.status == "completed"
    assert not fake.requests()
    found = served.stores.search(store, query="Text 1.", max_num_results=1).data[0]
    assert (found.content[0].text, found.filename, found.attributes, found.file_id) == (
        "Text 1.",
        "Title 1",
        {"n": 1},
        read.id,
    )
    served.stores.files.delete(read.id, vector_store_id=store)
    assert not served.knowledge.items("VECTORS_TABLE")


def own_line() -> str:
    """A line whose vector is not the one that the model makes."""
    return json.dumps({"id": "doc-1", "text": "A text.", "vector": [1.0] + [0.0] * (DIMENSIONS - 1)})


def test_vectors_for_a_model_that_the_store_left_meanwhile_are_not_taken_for_the_next(
    served: Served, store: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, stores = lines_of, served.knowledge.app.stores

    def switched_meanwhile(*args: Any) -> Any:
        there = stores.find("acme", store)
        stores.change(there, {"active": replace(there.active, number=2), "epoch": there.epoch + 1})
        return read(*args)

    monkeypatch.setattr(processing, "lines_of", switched_meanwhile)
    assert served.add(store, own_line(), "vectors.jsonl").status == "completed"
    assert [each["body"]["input"] for each in fake.requests()] == [["A text."]]
    assert served.texts(store, "A text.", max_num_results=1) == ["A text."]


def test_vectors_of_a_file_that_waited_until_its_store_had_another_model_are_not_taken_for_the_next(
    served: Served, store: str, fake: FakeProvider
) -> None:
    stores = served.knowledge.app.stores
    file_id = served.upload(own_line(), "vectors.jsonl")
    served.stores.files.create(store, file_id=file_id)
    there = stores.find("acme", store)
    stores.change(there, {"active": replace(there.active, number=2), "epoch": there.epoch + 1})
    served.knowledge.deliver()
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "completed"
    assert [each["body"]["input"] for each in fake.requests()] == [["A text."]]


def test_vectors_that_came_with_a_text_stay_while_another_generation_waits(
    served: Served, store: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = served.knowledge.app
    there = app.stores.find("acme", store)
    app.stores.change(there, {"next": replace(there.active, number=2), "epoch": there.epoch + 1})

    def refuse(*_: Any) -> Any:
        raise NoVectorsError("no provider", may_pass=True)

    file_id = served.upload(own_line(), "vectors.jsonl")
    served.stores.files.create(store, file_id=file_id)
    body = served.knowledge.peek()
    with monkeypatch.context() as patch:
        patch.setattr(app.store_embedder, "embed", refuse)
        served.knowledge.hand(body)
    served.knowledge.hand(body)
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "completed"
    # For the generation that is being made, and not once more for the one that has its own.
    assert [each["body"]["input"] for each in fake.requests()] == [["A text."]]
    [(_, vector)] = app.vector_index.vectors(there, there.active)
    assert list(vector)[:2] == [127, 0]


def test_lines_without_vectors_are_embedded_together(served: Served, store: str, fake: FakeProvider) -> None:
    lines = [{"id": f"doc-{number}", "text": f"Text {number}."} for number in range(30)]
    read = served.add(store, "\n".join(map(json.dumps, lines)), "texts.jsonl")
    assert read.status == "completed"
    assert len(fake.requests()) == 1
    assert served.texts(store, "Text 7.", max_num_results=1) == ["Text 7."]
