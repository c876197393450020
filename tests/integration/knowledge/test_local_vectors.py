"""Stores whose vectors Sluice makes by itself, and what a tenant prefers of them: no credential is there at all."""

from collections.abc import Iterator

import pytest

from sluice.errors import InvalidRequestError
from sluice.gateway.request import RequestContext
from sluice.knowledge.creating import NewStore
from sluice.knowledge.document import Document, Outcome
from sluice.knowledge.search import Query
from sluice.knowledge.vector_store import VectorStore
from sluice.routing.deadline import Deadline
from sluice.tenants.audit import Actor
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.recorded_calls import asked_as
from tests.stores import Knowledge, embeds, stores_environment


@pytest.fixture
def local(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Knowledge]:
    """Stores of a stack with the model's layer and no credentials."""
    monkeypatch.setenv("LOCAL_EMBEDDINGS", "true")
    aws.set_credentials()
    with stores_environment(monkeypatch):
        yield Knowledge()


def made(knowledge: Knowledge, **fields: object) -> VectorStore:
    with asked_as("VectorStoresFunction"):
        return knowledge.app.store_maker.create(knowledge.principal, NewStore(**fields))  # type: ignore[arg-type]


def prefer(knowledge: Knowledge, **values: object) -> None:
    actor = Actor(knowledge.principal, "a-request")
    knowledge.app.preferences.change("acme", "embedding_config", lambda _: values, actor)


def test_a_store_is_made_filled_and_searched_without_any_credential(local: Knowledge) -> None:
    store = made(local)
    assert (store.active.model, store.active.dimensions) == ("potion-base-8M", 256)
    texts = ["Cats and kittens sleep all day.", "Taxes on income are due in May.", "Bread rises in a warm kitchen."]
    with asked_as("StoreWorkerFunction"):
        for number, text in enumerate(texts):
            document = Document(id=f"d-{number}", kind="note", text=text, version="1")
            assert local.app.document_writer.write(local.principal, store.id, document).outcome is Outcome.WRITTEN
    context = RequestContext(request_id="a-search", deadline=Deadline.after(30), operation="embedding")
    with asked_as("VectorStoresFunction"):
        query = Query(texts=["When must I pay the tax?"], most=1)
        [found] = local.app.searcher.search(local.principal, store.id, query, context).hits
    assert found.text == texts[1]


def test_new_stores_have_the_model_that_their_tenant_prefers(
    local: Knowledge, aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeds(aws, fake)
    monkeypatch.setenv("EMBEDDING_MODEL", "potion-base-8M")
    local.restart()
    assert made(local).active.model == "potion-base-8M"
    prefer(local, model="embed")
    assert made(local).active.model == "embed"
    assert made(local, model="potion-base-8M").active.model == "potion-base-8M"


def test_a_preference_that_no_model_meets_is_refused_with_what_can_be(local: Knowledge) -> None:
    prefer(local, dimensions=128)
    with pytest.raises(InvalidRequestError, match="256 only"):
        made(local)
    # What is named goes before what is preferred.
    assert made(local, model="potion-base-8M").active.dimensions == 256
    prefer(local, model="gone")
    with pytest.raises(InvalidRequestError, match="'gone' makes no embeddings here; it can be potion-base-8M"):
        made(local)
