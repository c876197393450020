"""A cache in memory, and the secrets that it keeps."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice.errors import StorageUnavailableError
from sluice.storage.secrets import SecretReader
from sluice.storage.ttl_cache import TtlCache


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_value_s_age_counts_from_before_it_was_fetched() -> None:
    clock = Clock()
    cache: TtlCache[str] = TtlCache(lifetime_s=60, most=9, clock=clock)

    def slow() -> str:
        clock.now_s += 10
        return "slow"

    assert cache.get_or_fetch("a", slow) == "slow"
    clock.now_s = 59.9
    assert cache.get_or_fetch("a", lambda: "new") == "slow"
    clock.now_s = 60
    assert cache.get_or_fetch("a", lambda: "new") == "new"


def test_what_can_t_be_fetched_is_not_kept() -> None:
    cache: TtlCache[str] = TtlCache(lifetime_s=60, most=9)

    def fail() -> str:
        raise StorageUnavailableError("away")

    with pytest.raises(StorageUnavailableError):
        cache.get_or_fetch("a", fail)
    assert cache.get_or_fetch("a", lambda: "there") == "there"


def test_a_secret_is_fetched_once_however_many_threads_want_it() -> None:
    asked: list[str] = []

    def fetch(secret_id: str) -> str:
        asked.append(secret_id)
        return f"text of {secret_id}"

    reader = SecretReader(fetch)
    with ThreadPoolExecutor(8) as pool:
        read = set(pool.map(reader.read, ["a"] * 50))
    assert (read, asked) == ({"text of a"}, ["a"])
