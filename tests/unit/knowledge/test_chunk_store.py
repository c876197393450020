"""Texts of many documents are embedded together, and one that is refused costs the others nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sluice.embeddings.request import EmbeddingRequest
from sluice.embeddings.vectors import Vector
from sluice.errors import InvalidRequestError, QuotaExceededError, SluiceError
from sluice.gateway.embeddings import EmbeddingGateway
from sluice.knowledge.chunk_store import ChunkStore, Lacking
from sluice.knowledge.chunking import Chunk
from sluice.knowledge.document import Document
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.embedder import Embedder, NoVectorsError
from sluice.knowledge.index import ChunkKey, VectorIndex
from sluice.knowledge.revision import Revision
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.tenants.principal import Principal

GENERATION = Generation(number=1, model="embed", dimensions=1)
STORE = VectorStore(id="vs_1", tenant="acme", name="", created_at=0, active=GENERATION)
PRINCIPAL = cast(Principal, None)


@dataclass
class Model:
    """Makes vectors of texts but for those that are named; keeps what it was asked, and what was written."""

    refused: dict[str, NoVectorsError] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    written: dict[str, Vector] = field(default_factory=dict)
    chunks: list[ChunkKey] = field(default_factory=list)

    def embed(self, _generation: Generation, texts: Sequence[str], _principal: Any) -> list[Vector]:
        self.asked.append(list(texts))
        for each in texts:
            if each in self.refused:
                raise self.refused[each]
        return [[float(len(each))] for each in texts]

    def put(self, _store: Any, _generation: Any, _kind: str, vectors: Iterable[tuple[ChunkKey, Vector]]) -> None:
        for key, vector in vectors:
            if not any(vector):
                raise ValueError("a vector of zeros")
            self.written[key.document] = vector
            self.chunks.append(key)


def revision(
    text: str, *, chunks: int = 1, tokens: int = 10, vectors: Sequence[Vector] = (), vectors_of: Generation = GENERATION
) -> Revision:
    return Revision(
        store=STORE,
        document=Document(id=text, kind="imported", text=text, version="1"),
        key=text,
        id=f"revision of {text}",
        chunks=[Chunk(text, tokens)] * chunks,
        content_hash="",
        vectors=vectors,
        vectors_of=vectors_of,
    )


def limited(gateway: Any) -> Embedder:
    return Embedder(cast(EmbeddingGateway, gateway), timeout_s=10)


def embed(
    model: Model,
    revisions: Sequence[Revision],
    embedder: Embedder | None = None,
    there: frozenset[ChunkKey] = frozenset(),
) -> dict[str, str]:
    """Embed revisions, but for chunks whose vectors are there; returns why some have no vectors."""
    chunks = ChunkStore(cast(DocumentStore, None), cast(VectorIndex, model), embedder or cast(Embedder, model))
    lacking = [Lacking(each, [GENERATION], {GENERATION.number: there}) for each in revisions]
    errors = chunks.embed(STORE, lacking, PRINCIPAL)
    return {each.document.id: errors[each.id].reason for each in revisions if each.id in errors}


def test_texts_of_many_documents_are_one_request() -> None:
    model = Model()
    assert not embed(model, [revision(f"text {number}") for number in range(100)])
    assert [len(each) for each in model.asked] == [100]
    assert model.written["text 7"] == [6.0]


@pytest.mark.parametrize(
    ("sizes", "asked"),
    [
        ([(300, 1), (300, 1)], [300, 300]),
        ([(1, 15_000), (1, 15_000), (1, 1)], [1, 2]),
        # A large one is alone, and in parts.
        ([(1_000, 10), (1, 10)], [512, 488, 1]),
        ([(1_000, 100), (1, 100)], [*[200] * 5, 1]),
        ([(3, 50_000)], [1, 1, 1]),
    ],
)
def test_a_request_has_so_many_texts_and_tokens_at_most(sizes: list[tuple[int, int]], asked: list[int]) -> None:
    model = Model()
    embed(model, [revision(str(at), chunks=chunks, tokens=tokens) for at, (chunks, tokens) in enumerate(sizes)])
    assert [len(each) for each in model.asked] == asked


def test_a_text_that_no_model_takes_costs_the_others_nothing() -> None:
    model = Model(refused={"7": NoVectorsError("no known words", may_pass=False, is_about_texts=True)})
    assert embed(model, [revision(str(number)) for number in range(32)]) == {"7": "no known words"}
    assert model.written.keys() == {str(number) for number in range(32)} - {"7"}
    # The whole, and each half that it is in beside the one that it is not in.
    assert len(model.asked) == 1 + 2 * 5


@pytest.mark.parametrize("may_pass", [True, False])
def test_where_no_text_is_to_blame_none_is_asked_alone(may_pass: bool) -> None:
    model = Model(refused={"7": NoVectorsError("no model", may_pass=may_pass)})
    assert len(embed(model, [revision(str(number)) for number in range(32)])) == 32
    assert len(model.asked) == 1


@dataclass
class SmallLimit:
    """A gateway whose limit, which is over or never has room, is of so many texts in a request and in all."""

    error: SluiceError
    most: int = 3
    left: int = 100
    asked: list[int] = field(default_factory=list)

    def embed(self, request: EmbeddingRequest, *_: Any) -> Any:
        self.asked.append(len(request.input))
        if len(request.input) > self.most:
            raise self.error
        if len(request.input) > self.left:
            raise QuotaExceededError("out of tokens", retry_after_s=60)
        self.left -= len(request.input)
        return SimpleNamespace(vectors=[[1.0]] * len(request.input))


TOO_SMALL = QuotaExceededError("too small a limit of tokens", retry_after_s=None)


@pytest.mark.parametrize(
    "error", [TOO_SMALL, InvalidRequestError("too much", param="max_tokens", code="request_exceeds_limit")]
)
def test_what_never_fits_a_limit_is_asked_in_parts_that_do(error: SluiceError) -> None:
    model, gateway = Model(), SmallLimit(error)
    assert not embed(model, [revision(str(number)) for number in range(10)], limited(gateway))
    assert len(model.written) == 10
    assert max(each for each in gateway.asked if each <= gateway.most) > 1


def test_parts_that_fit_a_limit_are_kept_once_it_is_used_up() -> None:
    model, gateway = Model(), SmallLimit(TOO_SMALL, left=5)
    errors = embed(model, [revision(str(number)) for number in range(10)], limited(gateway))
    assert set(errors.values()) == {"out of tokens"}
    assert len(model.written) + len(errors) == 10
    assert model.written


def test_a_limit_that_is_used_up_is_not_asked_in_parts() -> None:
    gateway = SmallLimit(TOO_SMALL, most=100, left=0)
    assert len(embed(Model(), [revision(str(number)) for number in range(10)], limited(gateway))) == 10
    assert gateway.asked == [10]


@pytest.mark.parametrize(("most", "parts"), [(3, [10, 5, 2, 2, 2, 2, 2]), (1, [10, 5, 2, *[1] * 10])])
def test_a_document_that_a_limit_never_has_room_for_is_asked_in_parts_that_do(most: int, parts: list[int]) -> None:
    model, gateway, large = Model(), SmallLimit(TOO_SMALL, most=most), revision("large", chunks=10)
    assert not embed(model, [large], limited(gateway))
    assert gateway.asked == parts
    assert model.chunks == large.keys


def test_parts_of_a_document_are_kept_and_the_rest_is_asked_for_once_there_is_room() -> None:
    model, gateway, large = Model(), SmallLimit(TOO_SMALL, left=5), revision("large", chunks=10)
    assert embed(model, [large], limited(gateway)) == {"large": "out of tokens"}
    assert model.chunks == large.keys[:4]
    assert gateway.asked == [10, 5, 2, 2, 2]
    gateway.left = 100
    assert not embed(model, [large], limited(gateway), there=frozenset(model.chunks))
    assert model.chunks == large.keys


@pytest.mark.parametrize(
    ("tokens", "left", "asked", "made"),
    [
        # What others leave free of a limit is used, down to some thousand tokens.
        (800, 30, [25, 15, 7, 3, 3, 1, 1, 1], 30),
        (800, 1, [25, 12, 6, 3, 1, 1], 1),
        (800, 0, [25, 12, 6, 3, 1], 0),
        (100, 20, [40, 20, 20], 20),
    ],
)
def test_of_a_document_as_much_is_embedded_as_others_leave_room_for(
    tokens: int, left: int, asked: list[int], made: int
) -> None:
    model, gateway = Model(), SmallLimit(TOO_SMALL, most=1_000, left=left)
    large = revision("large", chunks=40, tokens=tokens)
    assert embed(model, [large], limited(gateway)) == {"large": "out of tokens"}
    assert (gateway.asked, model.chunks) == (asked, large.keys[:made])


def test_a_single_text_that_no_limit_has_room_for_is_asked_once_more_alone_and_no_more() -> None:
    gateway = SmallLimit(TOO_SMALL, most=0)
    assert embed(Model(), [revision("large", chunks=4)], limited(gateway)) == {"large": "too small a limit of tokens"}
    assert gateway.asked == [4, 2, 1]


def test_a_document_that_no_model_takes_is_not_asked_in_parts() -> None:
    model = Model(refused={"7": NoVectorsError("no known words", may_pass=False, is_about_texts=True)})
    assert embed(model, [revision("7", chunks=8)]) == {"7": "no known words"}
    assert len(model.asked) == 1


def test_a_document_whose_vectors_are_all_there_asks_nobody() -> None:
    model, whole = Model(), revision("whole", chunks=4)
    assert not embed(model, [whole], there=frozenset(whole.keys))
    assert not model.asked


def test_vectors_that_came_with_texts_are_there_whatever_becomes_of_other_texts() -> None:
    model = Model(refused={"none": NoVectorsError("no provider", may_pass=True)})
    assert embed(model, [revision("none"), revision("own", vectors=[[7.0]])]) == {"none": "no provider"}
    assert model.written == {"own": [7.0]}


@pytest.mark.parametrize("other", [replace(GENERATION, number=2), replace(GENERATION, model="other")])
def test_vectors_that_came_for_another_generation_are_not_written(other: Generation) -> None:
    model = Model()
    assert not embed(model, [revision("own", vectors=[[7.0]], vectors_of=other)])
    assert model.written == {"own": [3.0]}


def test_vectors_that_came_with_a_text_are_written_and_not_asked_for() -> None:
    model = Model()
    revisions = [revision("own", vectors=[[3.0]]), revision("zeros", vectors=[[0.0]]), revision("none")]
    assert embed(model, revisions) == {"zeros": "The model embed made a vector of zeros."}
    assert model.written == {"own": [3.0], "none": [4.0]}
    assert [set(each) for each in model.asked] == [{"none"}]
