"""The check of each store: once a day what its vectors are like, and what is in it once it has expired."""

import json
import time
from collections.abc import Callable

import pytest

from sluice.knowledge.creating import NewStore
from sluice.knowledge.vector_store import DAY_S, VectorStore
from tests.conftest import Aws
from tests.stores import Knowledge, document


@pytest.fixture
def later(knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Goes on so many seconds from now, for what is due and what checks it."""

    def go_on(seconds: float) -> None:
        now = time.time() + seconds
        for part in (knowledge.app.store_work, knowledge.app.store_checker):
            monkeypatch.setattr(part, "_clock", lambda: now)

    return go_on


def made(knowledge: Knowledge, expires_after_days: int | None = None) -> VectorStore:
    new = NewStore(name="a store", expires_after_days=expires_after_days)
    store = knowledge.app.store_maker.create(knowledge.principal, new)
    knowledge.store = store
    knowledge.app.document_writer.write(knowledge.principal, store.id, document("A text."))
    return store


def stored(knowledge: Knowledge) -> VectorStore:
    found = knowledge.app.stores.known("acme", knowledge.store.id)
    assert found is not None
    return found


def test_each_day_it_is_noted_what_a_store_is_like(knowledge: Knowledge, later: Callable[[float], None]) -> None:
    made(knowledge)
    assert knowledge.hourly() == 0
    for day in (1, 2):
        later(day * DAY_S + 60)
        assert (knowledge.hourly(), knowledge.deliver(), knowledge.hourly()) == (1, 1, 0)
        quality = stored(knowledge).quality
        assert quality["documents"] == 1
        assert quality["checked_at"] == pytest.approx(time.time() + day * DAY_S, abs=120)


def test_a_check_that_comes_twice_goes_on_once(knowledge: Knowledge, later: Callable[[float], None]) -> None:
    made(knowledge)
    later(DAY_S + 60)
    knowledge.hourly()
    body = knowledge.peek()
    assert knowledge.hand(body)
    assert knowledge.hand(body)
    assert len(knowledge.items("STORES_TABLE", "open#")) == 1


def test_what_was_counted_wrongly_is_counted_anew(knowledge: Knowledge, later: Callable[[float], None]) -> None:
    made(knowledge)
    before = stored(knowledge)
    knowledge.app.stores.add_usage(before, 5_000)
    later(DAY_S + 60)
    knowledge.hourly()
    knowledge.deliver()
    assert stored(knowledge).usage_bytes == before.usage_bytes > 0


def test_a_store_whose_texts_have_no_vectors_is_told_of(
    knowledge: Knowledge, later: Callable[[float], None], aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    made(knowledge)
    later(DAY_S + 60)
    knowledge.hourly()
    knowledge.deliver()
    assert "StoreQualityLow" not in capsys.readouterr().out
    aws.set_credentials()
    knowledge.restart()
    knowledge.app.document_writer.write(knowledge.principal, knowledge.store.id, document("Another.", id="jira:2"))
    later(2 * DAY_S + 60)
    knowledge.hourly()
    while knowledge.deliver():
        pass
    [line] = [json.loads(each) for each in capsys.readouterr().out.splitlines() if "StoreQualityLow" in each]
    assert (line["vector_store"], line["coverage"], line["StoreQualityLow"]) == (knowledge.store.id, 0.5, 1)


def test_what_is_in_an_expired_store_goes_and_the_store_stays_expired(
    knowledge: Knowledge, later: Callable[[float], None]
) -> None:
    store = made(knowledge, expires_after_days=1)
    later(DAY_S - 60)
    assert knowledge.hourly() == 0
    assert knowledge.items("VECTORS_TABLE", f"acme#{store.id}")
    # Due a day after it was made, and expired a second later at most.
    later(DAY_S + 60)
    assert knowledge.hourly() == 1
    while knowledge.deliver():
        pass
    for collection in ("texts", "documents", "files"):
        assert not knowledge.items("STORES_TABLE", f"{collection}#acme#{store.id}")
    assert not knowledge.items("VECTORS_TABLE", f"acme#{store.id}")
    found = stored(knowledge)
    assert (found.usage_bytes, found.is_expired(0)) == (0, True)
    # Not even a longer life brings it back.
    knowledge.app.stores.change(found, {"expires_after_days": 365})
    assert stored(knowledge).is_expired(time.time())


def test_a_store_that_is_used_is_not_emptied(knowledge: Knowledge, later: Callable[[float], None]) -> None:
    store = made(knowledge, expires_after_days=1)
    later(DAY_S + 60)
    knowledge.app.stores.change(store, {"last_active_at": int(time.time()) + DAY_S // 2})
    knowledge.hourly()
    knowledge.deliver()
    assert knowledge.found("A text.") == ["A text."]
    # It is looked at each hour from then on.
    later(2 * DAY_S)
    assert knowledge.hourly() == 1
    while knowledge.deliver():
        pass
    assert not knowledge.items("VECTORS_TABLE", f"acme#{store.id}")
