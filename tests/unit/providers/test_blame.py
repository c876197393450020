"""Whose fault a refusal is, by the bodies that providers send (tests/data/provider_refusals.jsonl)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.providers.blame import Blame, Refusal, blame
from sluice.providers.error_body import ErrorBody

REFUSALS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "provider_refusals.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize(
    "case", REFUSALS, ids=[f"{n}-{case['status']}-{case['blame']}" for n, case in enumerate(REFUSALS)]
)
def test_the_blame_is_where_it_belongs(case: dict[str, Any]) -> None:
    body = case["body"]
    said = ErrorBody.read((body if isinstance(body, str) else json.dumps(body)).encode())
    assert blame(Refusal(case["status"], said.codes, said.text, said.is_page)) is Blame(case["blame"]), said


def test_every_blame_has_its_cases() -> None:
    assert {case["blame"] for case in REFUSALS} == set(Blame)


@pytest.mark.parametrize(
    "code", ["rate_limit_exceeded", "RateLimitExceeded", "rate-limit-exceeded", "x.y#RateLimitExceeded"]
)
def test_a_code_counts_however_it_is_spelled(code: str) -> None:
    assert blame(Refusal(400, (code,))) is Blame.LIMIT


@given(status=st.integers(200, 999), codes=st.lists(st.text(max_size=20)), text=st.text(), is_page=st.booleans())
def test_somebody_is_always_to_blame(status: int, codes: list[str], text: str, is_page: bool) -> None:
    assert blame(Refusal(status, tuple(codes), text, is_page)) in Blame
