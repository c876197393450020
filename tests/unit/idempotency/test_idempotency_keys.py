"""Idempotency keys: whose they are, what makes a request the same, and when to ask again."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequestError
from sluice.idempotency.key import SentRequest, fingerprint, partition_key, retry_after_s

SENT = SentRequest(
    route="runTask",
    path={"name": "analysis"},
    body=b'{"inputs": {"a": 1, "b": [1, 2]}}',
    labels=("ada", None, None),
    skips_cache=False,
    no_store=False,
)


@given(*[st.text(max_size=8) for _ in range(2)], *[st.text(min_size=1, max_size=8) for _ in range(2)])
def test_callers_and_keys_never_share_a_partition(caller: str, other: str, key: str, other_key: str) -> None:
    same = (caller, key) == (other, other_key)
    assert (partition_key("acme", caller, key) == partition_key("acme", other, other_key)) == same


def test_tenants_never_share_a_partition() -> None:
    assert partition_key("acme", "k1", "order") != partition_key("zoo", "k1", "order")
    assert partition_key("acme", "k1", "order").startswith("idempotency#acme#")


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_of_the_wrong_length_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequestError, match="1 to 255 characters"):
        partition_key("acme", "k1", key)


@pytest.mark.parametrize(
    "change",
    [
        {"route": "createChatCompletion"},
        {"path": {"name": "explanation"}},
        {"body": b'{"inputs": {"a": 1, "b": [2, 1]}}'},
        {"body": b'{"inputs": {"a": 1.0, "b": [1, 2]}}'},
        {"labels": ("eve", None, None)},
        {"labels": (None, "ada", None)},
        {"skips_cache": True},
        {"no_store": True},
    ],
)
def test_whatever_may_change_an_answer_makes_another_request(change: dict[str, Any]) -> None:
    assert fingerprint(replace(SENT, **change)) != fingerprint(SENT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=4))
def test_a_body_is_the_same_however_it_is_written(body: dict[str, Any]) -> None:
    written = json.dumps(body).encode()
    other = json.dumps(dict(reversed(body.items())), indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if b"\xed" not in other:  # a lone surrogate is JSON only as an escape
        assert fingerprint(replace(SENT, body=other)) == fingerprint(replace(SENT, body=written))


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"9" * 5_000, b""])
def test_what_is_no_json_is_compared_byte_by_byte(body: bytes) -> None:
    assert fingerprint(replace(SENT, body=body)) == fingerprint(replace(SENT, body=body))
    assert fingerprint(replace(SENT, body=body)) != fingerprint(replace(SENT, body=body + b"1"))


@pytest.mark.parametrize(
    ("began_s", "ends_s", "now_s", "expected"),
    [
        (100, 230, 100.2, 1),
        (100, 230, 104, 4),
        (100, 230, 200, 30),
        (100, 1000, 300, 60),
        (100, 230, 229.9, 1),
        (100, 230, 90, 1),
        (100, 230, 500, 1),
    ],
)
def test_who_waits_is_told_to_wait_as_long_as_it_has_taken(
    began_s: float, ends_s: float, now_s: float, expected: int
) -> None:
    assert retry_after_s(began_s, ends_s, now_s) == expected
