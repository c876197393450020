"""How an App puts its parts together."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.composition import App, part
from sluice.settings import Settings
from sluice.storage.client import DynamoDB

STORES = (
    "directory",
    "ledger",
    "response_cache",
    "cache_sums",
    "conversations",
    "task_results",
    "question_bank",
    "usage_records",
    "usage_reader",
)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    """An App of a process that has been given nothing."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return App(Settings.from_environment({}))


def clients_in(value: Any, depth: int = 3) -> list[DynamoDB]:
    """The clients that an object keeps, itself or in what it keeps."""
    if isinstance(value, DynamoDB):
        return [value]
    kept = getattr(value, "__dict__", {}).values() if depth else ()
    return [client for each in kept for client in clients_in(each, depth - 1)]


@pytest.mark.parametrize("name", STORES)
def test_all_stores_speak_through_one_client(app: App, name: str) -> None:
    assert set(map(id, clients_in(getattr(app, name)))) == {id(app.dynamodb)}


def test_a_part_is_built_once_however_many_threads_ask_for_it() -> None:
    built: list[int] = []

    class Slow(App):
        @part
        def thing(self) -> int:
            built.append(len(built))
            time.sleep(0.01)
            return built[-1]

        @part
        def made_of_it(self) -> int:
            return self.thing + 1

    app = Slow(Settings.from_environment({}))
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda name: getattr(app, name), ["thing", "made_of_it"] * 8))
    assert (built, seen) == ([0], [0, 1] * 8)


def test_apps_share_nothing(app: App) -> None:
    other = App(app.settings)
    assert app.dynamodb is not other.dynamodb
    assert app.verifier is not other.verifier
    assert app.directory is not other.directory
