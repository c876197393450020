"""What `make smoke` asks of vector stores holds where they work, and says what does not hold."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.served_stores import Served
from tools.smoke_search import SearchFailedError, searched


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """A client of the API, whose messages are worked on meanwhile."""
    has_ended = threading.Event()

    def work() -> None:
        while not has_ended.wait(0.2):
            served.knowledge.deliver()

    thread = threading.Thread(target=work)
    thread.start()
    with httpx.Client(base_url=f"{served.url}/v1", timeout=60) as found:
        yield found
    has_ended.set()
    thread.join()


def test_a_search_is_timed_and_nothing_is_left(served: Served, client: httpx.Client) -> None:
    assert "5 searches took" in searched(client, served.knowledge.api_key)
    assert [each.id for each in served.stores.list()] == [served.knowledge.store.id]
    assert list(served.client.files.list()) == []


def test_what_is_refused_is_said(client: httpx.Client) -> None:
    with pytest.raises(SearchFailedError, match="401") as refused:
        searched(client, "sl-nobody")
    assert refused.value.can_be
