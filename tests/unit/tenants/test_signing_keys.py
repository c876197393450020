"""The keys of an issuer: which are taken, when they are fetched, and what is done while they can't be."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.chat import JsonObject
from sluice.errors import IssuerUnavailableError
from sluice.tenants.login.signing_keys import FIRST_PAUSE_S, FRESH_S, LAST_GOOD_S, PAUSE_S, SigningKeys, parse
from tests.token_issuer import public_jwk

OLD, NEW = public_jwk("ES256", "old"), public_jwk("ES256", "new")


class Published:
    """What an issuer publishes, and a clock."""

    def __init__(self, *keys: JsonObject) -> None:
        self.keys = list(keys)
        self.is_down = False
        self.fetched = 0
        self.began = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.now_s = 1000.0
        self.signing_keys = SigningKeys(self.fetch, lambda: self.now_s)

    def fetch(self) -> JsonObject:
        self.began.set()
        assert self.may_answer.wait(30)
        self.fetched += 1
        if self.is_down:
            raise IssuerUnavailableError("It is down.")
        return {"keys": self.keys}

    def has(self, key_id: str | None, algorithm: str = "ES256") -> bool:
        return self.signing_keys.find(key_id, algorithm) is not None


def test_keys_are_fetched_once_while_they_are_fresh() -> None:
    published = Published(OLD)
    assert all(published.has("old") for _ in range(5))
    published.now_s += FRESH_S - 1
    assert published.has("old")
    assert published.fetched == 1
    published.now_s += 1
    assert published.has("old")
    assert published.fetched == 2


def test_an_unknown_key_is_fetched_at_most_once_a_minute() -> None:
    published = Published(OLD)
    assert published.has("old")
    published.keys = [OLD, NEW]
    published.now_s += PAUSE_S - 1
    assert not published.has("new")
    published.now_s += 1
    assert published.has("new")
    assert published.fetched == 2


def test_a_flood_of_unknown_keys_does_not_reach_the_issuer() -> None:
    published = Published(OLD)
    for number in range(1000):
        assert not published.has(f"unknown-{number}")
        published.now_s += 0.1
    assert published.fetched == 2


def test_a_withdrawn_key_is_taken_no_longer_once_the_keys_are_fetched_again() -> None:
    published = Published(OLD, NEW)
    assert published.has("old")
    published.keys = [NEW]
    published.now_s += FRESH_S
    assert not published.has("old")
    assert published.has("new")


def test_the_last_good_keys_serve_while_the_issuer_is_down_and_not_for_ever() -> None:
    published = Published(OLD)
    assert published.has("old")
    published.is_down = True
    published.now_s += FRESH_S
    assert published.has("old")
    assert published.has("old")
    assert published.fetched == 2, "it is asked again after a pause"
    published.now_s += PAUSE_S
    assert published.has("old")
    assert published.fetched == 3
    published.now_s += LAST_GOOD_S
    with pytest.raises(IssuerUnavailableError, match="It is down"):
        published.has("old")


def test_while_nothing_is_known_an_issuer_that_is_down_is_asked_every_few_seconds() -> None:
    published = Published(OLD)
    published.is_down = True
    for _ in range(3):
        with pytest.raises(IssuerUnavailableError, match="It is down"):
            published.has("old")
    assert published.fetched == 1
    published.is_down = False
    published.now_s += FIRST_PAUSE_S
    assert published.has("old")


def test_threads_that_need_the_same_key_wait_for_one_fetch() -> None:
    published = Published(NEW)
    published.may_answer.clear()
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(published.has, "new") for _ in range(4)]
        assert published.began.wait(30)
        published.may_answer.set()
    assert [each.result() for each in found] == [True] * 4
    assert published.fetched == 1


def test_who_has_a_key_to_go_on_with_does_not_wait_for_another_s_fetch() -> None:
    published = Published(OLD)
    assert published.has("old")
    published.began.clear()
    published.may_answer.clear()
    published.now_s += FRESH_S
    with ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(published.has, "unknown")
        assert published.began.wait(30)
        assert published.has("old")
        assert published.fetched == 1
        published.may_answer.set()
    assert not fetching.result()
    assert published.fetched == 2


def test_without_an_id_the_only_key_for_the_algorithm_is_meant() -> None:
    assert Published(OLD, public_jwk("RS256", "rsa")).has(None)
    assert not Published(OLD, NEW).has(None)


def test_a_key_is_for_the_algorithms_of_its_type() -> None:
    keys = [public_jwk("RS256", "rsa"), public_jwk("ES256", "ec"), public_jwk("EdDSA", "ed")]
    found = {(key.id, key.algorithm) for key in parse({"keys": keys})}
    assert found == {("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA")}


@pytest.mark.parametrize(
    "useless",
    [
        {**OLD, "use": "enc"},
        {**OLD, "alg": "ES384"},
        {**OLD, "key_ops": ["sign"]},
        {**OLD, "kid": 7},
        {**OLD, "crv": "P-384"},
        {**OLD, "x": "no number"},
        {**OLD, "d": OLD["x"]},
        {"kty": "oct", "kid": "old", "k": "c2VjcmV0"},
        {"kty": "oct", "kid": "old", "k": "c2VjcmV0", "alg": "ES256"},
        {"kty": "RSA", "kid": "old"},
        {"kid": "old"},
        "old",
        None,
    ],
)
def test_what_can_verify_nothing_is_left_out(useless: Any) -> None:
    assert [key.id for key in parse({"keys": [useless, NEW]})] == ["new"]


@pytest.mark.parametrize("key_set", [{}, {"keys": []}, {"keys": None}, {"keys": {"kid": "old"}}, {"keys": ["old"]}])
def test_a_set_without_a_key_counts_as_none(key_set: JsonObject) -> None:
    with pytest.raises(IssuerUnavailableError, match="publishes no key"):
        parse(key_set)


def test_a_set_without_a_key_does_not_take_the_place_of_a_good_one() -> None:
    published = Published(OLD)
    assert published.has("old")
    published.keys = []
    published.now_s += FRESH_S
    assert published.has("old")
