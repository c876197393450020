"""Answers as they are kept."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.envelope import to_json
from sluice.idempotency import answer
from sluice.idempotency.answer import MOST_BYTES, AnswerHead, AnswerPacker, KeptError, unpacked


@given(st.lists(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False), max_size=3), max_size=5))
def test_texts_come_back_as_they_were(values: list[object]) -> None:
    # With whatever Unicode takes for the end of a line: in JSON none of it is one.
    lines = [to_json(value) for value in values]
    packer = AnswerPacker()
    for line in lines:
        packer.add(line)
    packed = packer.packed()
    assert packed is not None
    assert unpacked(packed) == lines


@pytest.mark.parametrize("error", [None, KeptError(status=400, message="No.", type="t", param=None, code="c")])
def test_what_stands_around_an_answer_comes_back_as_it_was(error: KeptError | None) -> None:
    head = AnswerHead(request_id="req_1", headers={"x-sluice-model": "m"}, is_streamed=True, error=error)
    assert AnswerHead.from_json(head.to_json()) == head


def test_what_a_later_version_added_is_left_out() -> None:
    head = AnswerHead(request_id="req_1")
    later = json.dumps({**json.loads(head.to_json()), "added": 1})
    assert AnswerHead.from_json(later) == head


def test_an_answer_that_is_too_large_is_told_and_takes_no_memory() -> None:
    packer = AnswerPacker()
    noise = random.Random(7)
    for _ in range(40):
        packer.add(noise.randbytes(50_000).hex().encode())
    assert packer.packed() is None
    assert sum(map(len, packer._parts)) < 2 * MOST_BYTES


def test_the_last_part_may_make_it_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MOST_BYTES", 10)
    packer = AnswerPacker()
    packer.add(b'"not seen before it is flushed"')
    assert packer.packed() is None
