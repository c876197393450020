import json
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from sluice.cache.store import MOST_ITEM_BYTES, CachedAnswer, CacheLookup, ResponseCache
from sluice.errors import StorageUnavailableError
from tests.clock import Clock
from tests.conftest import ON_BOTH_EMULATORS, Aws

pytestmark = ON_BOTH_EMULATORS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(aws: Aws, clock: Clock) -> ResponseCache:
    return ResponseCache(aws.table("RESPONSE_CACHE_TABLE"), clock)


def answer(content: str = "Hello, 你好 \ud83d") -> CachedAnswer:
    body = {
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        "x_unknown": {"kept": [1.5, None, True]},
    }
    return CachedAnswer(body, "llama-3.1-8b-instant", "groq-1#llama-3.1-8b-instant")


def look_up(cache: ResponseCache, key: str) -> CachedAnswer | None:
    return cache.look_up("acme", key).answer


def raw(aws: Aws, key: str) -> dict[str, Any]:
    found = aws.dynamodb.get_item(TableName=aws.table("RESPONSE_CACHE_TABLE"), Key={"key": {"S": key}})
    return dict(found["Item"])


def test_an_answer_comes_back_as_it_was(cache: ResponseCache) -> None:
    assert cache.put("k", answer(), 60, 0)
    found = look_up(cache, "k")
    assert found == answer()
    assert found is not None
    assert found.usage is not None
    assert found.usage.total_tokens == 12


def test_what_was_never_kept_is_a_miss(cache: ResponseCache) -> None:
    assert look_up(cache, "never") is None


def test_an_expired_answer_is_a_miss_though_it_is_still_there(aws: Aws, cache: ResponseCache, clock: Clock) -> None:
    cache.put("k", answer(), 60, 0)
    clock.now_s += 59
    assert look_up(cache, "k") is not None
    clock.now_s += 1
    assert look_up(cache, "k") is None
    assert raw(aws, "k")["expires_at"] == {"N": str(1_800_000_060)}


def test_the_newest_answer_replaces_the_one_before(cache: ResponseCache) -> None:
    cache.put("k", answer("old"), 60, 0)
    cache.put("k", answer("new"), 60, 0)
    assert look_up(cache, "k") == answer("new")


def test_answers_are_kept_compressed(aws: Aws, cache: ResponseCache) -> None:
    cache.put("k", answer("word " * 2_000), 60, 0)
    assert len(raw(aws, "k")["body"]["B"]) < 500


def test_an_answer_over_the_size_is_not_kept(aws: Aws, cache: ResponseCache) -> None:
    noise = random.Random(1).randbytes
    # Hexadecimal digits compress to half of their length.
    assert cache.put("fits", answer(noise(300_000).hex()), 60, 0)
    assert look_up(cache, "fits") is not None
    assert not cache.put("large", answer(noise(MOST_ITEM_BYTES).hex()), 60, 0)
    assert look_up(cache, "large") is None
    assert "Item" not in aws.dynamodb.get_item(TableName=aws.table("RESPONSE_CACHE_TABLE"), Key={"key": {"S": "large"}})


def test_clearing_begins_a_generation_in_which_nothing_from_before_is_served(aws: Aws, cache: ResponseCache) -> None:
    assert cache.look_up("acme", None) == CacheLookup(None, 0)
    cache.put("k", answer(), 60, 0)
    assert cache.clear("acme") == 1
    assert cache.look_up("acme", "k") == CacheLookup(None, 1)
    # A request that was let in before: what it stores is not served either.
    cache.put("k", answer("late"), 60, 0)
    assert cache.look_up("acme", "k") == CacheLookup(None, 1)
    cache.put("k", answer("new"), 60, 1)
    assert cache.look_up("acme", "k") == CacheLookup(answer("new"), 1)
    assert cache.look_up("globex", None) == CacheLookup(None, 0)
    # It must not be forgotten while answers from before are there: it has no time to live.
    assert raw(aws, "generation#acme").keys() == {"key", "generation"}


def test_many_clear_at_once_and_each_begins_a_generation_of_its_own(cache: ResponseCache) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: cache.clear("acme"), range(40))) == list(range(1, 41))


def test_what_is_put_says_what_it_changed(cache: ResponseCache, clock: Clock) -> None:
    [first] = cache.put("k", answer("first"), 3600, 0)
    assert (first.generation, first.entries) == (0, 1)
    assert 1_800_003_600 <= first.until < 1_800_003_660
    clock.now_s += 600
    second, replaced = cache.put("k", answer("a second and longer one"), 60, 3)
    assert (second.generation, second.entries, second.until) == (3, 1, 1_800_000_660)
    assert replaced == replace(first, entries=-1, bytes=-first.bytes)
    assert second.bytes > first.bytes


@pytest.mark.parametrize(
    "damage",
    [
        {"body": {"B": b"not zlib"}},
        {"body": {"B": zlib.compress(b'{"cut off": ')}},
        {"body": {"B": zlib.compress(json.dumps([1]).encode())}},
        {"body": {"B": zlib.compress(b"\xff\xfe")}},
        {"body": {"B": zlib.compress(b'{"id": 1}')[:-4]}},
        {"body": {"S": "text"}},
        {"body": None},
        {"model": None},
        {"expires_at": None},
        {"expires_at": {"S": "tomorrow"}},
    ],
)
def test_a_corrupt_entry_is_a_counted_miss(
    damage: dict[str, Any], aws: Aws, cache: ResponseCache, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.put("k", answer("private words"), 60, 0)
    damaged = {name: value for name, value in {**raw(aws, "k"), **damage}.items() if value is not None}
    aws.dynamodb.put_item(TableName=aws.table("RESPONSE_CACHE_TABLE"), Item=damaged)
    assert look_up(cache, "k") is None
    written = capsys.readouterr()
    assert '"CacheEntryCorrupt"' in written.out
    assert "private words" not in written.out + written.err
    cache.put("k", answer(), 60, 0)
    assert look_up(cache, "k") == answer()


def test_a_table_that_does_not_answer_is_an_error(aws: Aws, clock: Clock) -> None:
    missing = ResponseCache(aws.table("RESPONSE_CACHE_TABLE") + "-gone", clock)
    with pytest.raises(StorageUnavailableError, match="BatchGetItem: ResourceNotFoundException"):
        look_up(missing, "k")
    with pytest.raises(StorageUnavailableError, match="PutItem: ResourceNotFoundException"):
        missing.put("k", answer(), 60, 0)
