"""How keys are written and held."""

import json
import re
from collections.abc import Callable
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.keys import NewKey
from sluice.api.tenants import NewTenant
from sluice.errors import InvalidRequestError
from sluice.storage.ttl_cache import TtlCache
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.validation.body import parse_body


def test_a_generated_key_is_read_back_and_only_its_own_secret_matches() -> None:
    keys = [ApiKeyToken.generate() for _ in range(100)]
    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 100
    for key in keys:
        assert re.fullmatch(r"sl-[a-z0-9]{12}-[A-Za-z0-9]{43}", key.text)
        assert ApiKeyToken.parse(key.text) == key
        assert key.matches(key.secret_hash)
        assert not keys[0].matches(key.secret_hash) or key is keys[0]


def test_a_secret_is_shown_by_no_repr() -> None:
    key = ApiKeyToken.generate()
    stored = ApiKey(key.id, "acme", Role.CALLER, "n", key.secret_hash)
    assert key.secret not in repr(key)
    assert key.secret_hash not in repr(stored)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sl-",
        "sl-a-",
        "sl-a-short",
        "sl--" + "x" * 40,
        "sk-a-" + "x" * 40,
        "sl-A-" + "x" * 40,
        "sl-a-" + "x" * 129,
        "sl-a-" + "x" * 39 + "-",
        "sl-a-" + "é" * 40,
        "sl-a-" + "x" * 40 + "\n",
        " sl-a-" + "x" * 40,
        "sl-a-b-" + "x" * 40,
    ],
)
def test_what_is_not_written_like_a_key_is_none(text: str) -> None:
    assert ApiKeyToken.parse(text) is None


@given(st.text())
def test_any_text_is_a_key_or_none(text: str) -> None:
    parsed = ApiKeyToken.parse(f"sl-{text}")
    assert parsed is None or parsed.text == f"sl-{text}"


def test_roles_include_those_before_them() -> None:
    assert [[role.includes(other) for other in Role] for role in Role] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


def test_a_key_expires_at_its_very_second() -> None:
    key = ApiKey("k", "t", Role.CALLER, "n", expires_at=1000)
    assert not key.is_expired(999.999)
    assert key.is_expired(1000.0)
    assert not ApiKey("k", "t", Role.CALLER, "n").is_expired(1e12)


def test_a_budget_in_dollars_is_exact() -> None:
    assert str(Tenant("t", "T", budget_nanousd=123_456_789).budget_usd_per_month) == "0.123456789"
    assert Tenant("t", "T").budget_usd_per_month is None


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_value_is_held_from_when_it_was_asked_for_until_its_lifetime_is_over() -> None:
    clock = Clock()
    held: TtlCache[str] = TtlCache(lifetime_s=50, most=10, clock=clock)
    asked_at = held.now()
    clock.time = 3  # the answer took its time
    held.put("a", "value", fetched_at=asked_at)
    clock.time = 49.9
    assert held.get("a") == "value"
    clock.time = 50
    assert held.get("a") is None
    assert len(held) == 0


def test_the_longest_unused_is_forgotten_first() -> None:
    held: TtlCache[int] = TtlCache(lifetime_s=50, most=3, clock=Clock())
    for number, key in enumerate("abc"):
        held.put(key, number, fetched_at=0)
    held.get("a")
    held.put("d", 3, fetched_at=0)
    assert [held.get(key) for key in "abcd"] == [0, None, 2, 3]


def test_threads_share_what_is_held() -> None:
    held: TtlCache[int] = TtlCache(lifetime_s=50, most=20)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for step in range(3000):
                key = str((seed * 7 + step) % 60)
                held.put(key, int(key), fetched_at=held.now())
                assert held.get(key) in (int(key), None)
        except BaseException as error:  # noqa: BLE001 - a thread's failure has to be carried to the test
            failures.append(error)

    threads = [Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(held) <= 20


@pytest.mark.parametrize("write", [str.lower, str.upper, str.title])
def test_words_of_tenants_and_keys_are_known_in_any_case(write: Callable[[str], str]) -> None:
    tenant = {"id": "acme", "name": "ACME", "cache_policy": write("off"), "guard_modes": {"jailbreak": write("flag")}}
    record = parse_body(json.dumps(tenant).encode(), NewTenant).to_record()
    assert (record.cache_policy, record.guard_modes) == ("off", {"jailbreak": "flag"})
    key = {"tenant": "acme", "name": "a key", "role": write("operator")}
    assert parse_body(json.dumps(key).encode(), NewKey).role is Role.OPERATOR


@pytest.mark.parametrize("role", ["boss", "", 1, ["admin"], "admin operator"])
def test_what_is_no_role_of_a_key_is_refused(role: object) -> None:
    with pytest.raises(InvalidRequestError):
        parse_body(json.dumps({"tenant": "acme", "name": "a key", "role": role}).encode(), NewKey)
