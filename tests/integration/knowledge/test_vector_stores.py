"""OpenAI's Vector Stores API, by OpenAI's own SDK over a real socket."""

from typing import Any

import openai
import pytest

from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.served_stores import Served
from tests.stores import DIMENSIONS
from tests.tenants import make_key, make_tenant


def test_stores_are_made_listed_changed_and_deleted(served: Served) -> None:
    made = [served.stores.create(name=f"Store {number}", metadata={"n": str(number)}) for number in range(5)]
    listed = [each.id for each in served.stores.list(limit=2)]
    assert listed[:5] == [each.id for each in reversed(made)]
    page = served.stores.list(limit=2, order="asc", after=made[0].id)
    assert [each.id for each in page.data] == [made[1].id, made[2].id]
    assert page.has_more
    before = served.stores.list(limit=2, order="asc", before=made[4].id)
    assert [each.id for each in before.data] == [made[2].id, made[3].id]
    changed = served.stores.update(
        made[0].id, name="Other", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 7}
    )
    assert (changed.name, changed.metadata) == ("Other", {"a": "b"})
    assert changed.expires_at
    assert changed.last_active_at
    assert changed.expires_at - changed.last_active_at == 7 * 86_400
    assert served.stores.delete(made[0].id).deleted
    for call in (served.stores.retrieve, served.stores.delete):
        with pytest.raises(openai.NotFoundError):
            call(made[0].id)
    assert made[0].id not in [each.id for each in served.stores.list()]


def test_what_is_in_a_deleted_store_goes(served: Served, store: str) -> None:
    served.add(store, "A text.")
    assert served.knowledge.items("VECTORS_TABLE")
    served.stores.delete(store)
    served.work()
    assert not served.knowledge.items("VECTORS_TABLE")
    for kind in ("texts", "documents", "files"):
        assert not served.knowledge.items("STORES_TABLE", f"{kind}#")


def test_nothing_of_another_tenant_is_there(served: Served, store: str) -> None:
    file_id = served.add(store, "A secret.").id
    batch = served.stores.file_batches.create(store, file_ids=[file_id]).id
    other = served.openai(make_tenant(served.knowledge.app, "globex")).vector_stores
    own = other.create(name="Own").id
    calls: list[Any] = [
        lambda: other.retrieve(store),
        lambda: other.update(store, name="x"),
        lambda: other.delete(store),
        lambda: other.search(store, query="A secret."),
        lambda: other.files.create(store, file_id=file_id),
        lambda: other.files.create(own, file_id=file_id),
        lambda: other.files.list(store),
        lambda: other.files.retrieve(file_id, vector_store_id=store),
        lambda: other.files.retrieve(file_id, vector_store_id=own),
        lambda: other.files.update(file_id, vector_store_id=store, attributes={}),
        lambda: other.files.delete(file_id, vector_store_id=store),
        lambda: other.files.content(file_id, vector_store_id=store),
        lambda: other.file_batches.create(store, file_ids=[file_id]),
        lambda: other.file_batches.create(own, file_ids=[file_id]),
        lambda: other.file_batches.retrieve(batch, vector_store_id=store),
        lambda: other.file_batches.retrieve(batch, vector_store_id=own),
        lambda: other.file_batches.cancel(batch, vector_store_id=store),
        lambda: other.file_batches.list_files(batch, vector_store_id=store),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError):
            call()
    assert [each.id for each in other.list()] == [own]
    assert not list(other.search(own, query="A secret."))
    # Keys of one tenant share its stores, and not their files.
    colleague = served.openai(make_key(served.knowledge.app, "acme")).vector_stores
    assert [each.content[0].text for each in colleague.search(store, query="A secret.")] == ["A secret."]
    with pytest.raises(openai.NotFoundError):
        colleague.files.create(store, file_id=file_id)


def test_a_store_that_expired_finds_and_takes_nothing(served: Served, store: str) -> None:
    served.add(store, "A text.")
    found = served.knowledge.app.stores.find("acme", store)
    served.knowledge.app.stores.change(found, {"expires_after_days": 1, "last_active_at": 1_600_000_000})
    assert served.stores.retrieve(store).status == "expired"
    for call in (lambda: served.stores.search(store, query="x"), lambda: served.add(store, "More.")):
        with pytest.raises(openai.BadRequestError, match="expired"):
            call()


def test_a_store_is_made_of_a_model_that_embeds(served: Served) -> None:
    def create(**fields: Any) -> Any:
        return served.stores.create(extra_body=fields)

    assert create(embedding_model="embed").to_dict()["sluice"]["dimensions"] == DIMENSIONS
    for fields, said in (
        ({"embedding_model": "small"}, "it can be embed"),
        ({"embedding_model": "nothing"}, "it can be embed"),
        ({"embedding_dimensions": 100}, "256 only"),
        ({"embedding_dimensions": 257}, "256 only"),
    ):
        with pytest.raises(openai.BadRequestError, match=said):
            create(**fields)


def test_another_model_answers_once_all_its_vectors_are_there(
    served: Served, store: str, aws: Aws, fake: FakeProvider
) -> None:
    for number in range(3):
        served.add(store, f"Text {number}.")
    embedder = {
        "vectors": {"dimensions": 768},
        "context_window": 8_192,
        "price": {"prompt_usd": 1, "completion_usd": 0},
    }
    old = {
        "vectors": {"dimensions": DIMENSIONS},
        "context_window": 8_192,
        "price": {"prompt_usd": 1, "completion_usd": 0},
    }
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(), "embed": old, "wider": embedder}))
    served.knowledge.restart()
    maker = served.knowledge.app.rebuilder
    found = served.knowledge.app.stores.find("acme", store)
    maker.begin(served.knowledge.principal, found, "wider", None)
    shown: Any = served.stores.retrieve(store).to_dict()
    assert (shown["status"], shown["sluice"]["next_embedding_model"]) == ("in_progress", "wider")
    assert served.texts(store, "Text 1.", max_num_results=1) == ["Text 1."]
    fake.configure(embeddings={"dimensions": 768})
    served.work()
    shown = served.stores.retrieve(store).to_dict()
    assert (shown["status"], shown["sluice"]["embedding_model"]) == ("completed", "wider")
    assert {each.partition("#wider#")[1] for each in served.knowledge.items("VECTORS_TABLE")} == {"#wider#"}
    assert len(served.knowledge.items("VECTORS_TABLE")) == 3


def test_vectors_that_were_lost_are_made_anew_by_the_same_model(served: Served, store: str) -> None:
    served.add(store, "Text 1.")
    app = served.knowledge.app
    found = app.stores.find("acme", store)
    app.vector_index.delete(found, found.active, [key for key, _ in app.vector_index.vectors(found, found.active)])
    served.client.post(f"/vector_stores/{store}", body={"embedding_model": "embed"}, cast_to=object)
    served.work()
    assert served.texts(store, "Text 1.") == []
    served.client.post(f"/vector_stores/{store}", body={"remake_vectors": True}, cast_to=object)
    served.work()
    assert served.texts(store, "Text 1.") == ["Text 1."]
    assert app.stores.find("acme", store).active.model == "embed"


def test_the_quality_of_a_store_is_shown(served: Served, store: str, aws: Aws) -> None:
    served.add(store, "The same text.")
    served.add(store, "The same text.")
    served.add(store, "Another text, which is longer.")
    aws.set_credentials()
    served.knowledge.restart()
    served.add(store, "Without vectors.")
    found: Any = served.client.get(f"/vector_stores/{store}/quality", cast_to=object)
    assert (found["documents"], found["coverage"], found["total_embeddings"]) == (4, 0.75, 3)
    assert [each["documents"] for each in found["lacking"]] == [1]
    assert "embed" in found["lacking"][0]["reason"]
    assert (found["duplicate_rate"], found["quality_score"]) == (0, 1)
    assert found["duplicate_text_rate"] == pytest.approx(1 / 3)
    assert found["dimension_consistency"]
