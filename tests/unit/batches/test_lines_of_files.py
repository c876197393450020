"""Lines of batches' files, as they come in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.batches.line import MOST_LINE_BYTES, RawLine, raw_lines, read_line
from sluice.errors import InvalidRequestError

GOOD = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}}'


def raw(text: bytes, number: int = 2) -> RawLine:
    return RawLine(number, 0, len(text), text)


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), max_size=20))
def test_where_the_pieces_are_cut_changes_nothing(content: bytes, cuts: list[int]) -> None:
    pieces, rest = [], content
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert list(raw_lines([*pieces, rest])) == list(raw_lines([content]))


@given(st.binary(max_size=300))
def test_each_line_stands_where_it_says(content: bytes) -> None:
    found = list(raw_lines([content]))
    for each in found:
        assert content[each.start : each.end] == each.text
        assert content[: each.start].count(b"\n") == each.number - 1
    assert b"".join(each.text for each in found) == b"".join(part for part in content.split(b"\n") if part.strip())


def test_a_line_that_is_too_long_is_not_kept_whole_and_the_next_is_found() -> None:
    content = b"x" * (5 * MOST_LINE_BYTES) + b"\n" + GOOD
    pieces = [content[begin : begin + 100_000] for begin in range(0, len(content), 100_000)]
    long, good = raw_lines(pieces)
    assert len(long.text) == MOST_LINE_BYTES + 1
    assert long.end - long.start == 5 * MOST_LINE_BYTES
    assert good.text == GOOD
    with pytest.raises(InvalidRequestError) as refused:
        read_line(long, "/v1/chat/completions")
    assert refused.value.code == "line_too_long"


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"null", None),
        (b'"text"', None),
        (b"[" * 50_000, None),
        (b"\xff\xfe{\x00}\x00", None),
        (b'{"custom_id": "a"}', "method"),
        (GOOD.replace(b'"a"', b'""'), "custom_id"),
        (GOOD.replace(b'"a"', b"7"), "custom_id"),
        (GOOD.replace(b'"a"', b'"' + b"a" * 300 + b'"'), "custom_id"),
        (GOOD.replace(b"POST", b"GET"), "method"),
        (GOOD.replace(b"{}}", b"[]}"), "body"),
        (GOOD.replace(b"{}}", b'{}, "more": 1}'), "more"),
        (GOOD.replace(b"chat/completions", b"completions"), "url"),
        (GOOD.replace(b"{}}", b"1e400}"), None),
    ],
)
def test_what_is_no_request_is_refused_with_the_field_and_without_its_text(text: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_line(raw(text), "/v1/chat/completions")
    assert refused.value.param == param
    assert refused.value.code
    assert len(refused.value.message) < 300


def test_a_byte_order_mark_is_taken_at_the_beginning_of_the_file_alone() -> None:
    assert read_line(raw(b"\xef\xbb\xbf" + GOOD, 1), "/v1/chat/completions").custom_id == "a"
    with pytest.raises(InvalidRequestError):
        read_line(raw(b"\xef\xbb\xbf" + GOOD, 2), "/v1/chat/completions")


def test_a_line_behind_a_megabyte_of_blanks_is_not_lost() -> None:
    content = (
        b" " * (2 * MOST_LINE_BYTES)
        + GOOD
        + b" " * MOST_LINE_BYTES
        + b"\n"
        + b" " * (2 * MOST_LINE_BYTES)
        + b"\n"
        + GOOD
    )
    pieces = [content[begin : begin + 1_000_000] for begin in range(0, len(content), 1_000_000)]
    assert [each.number for each in raw_lines(pieces)] == [each.number for each in raw_lines([content])] == [1, 3]
    with pytest.raises(InvalidRequestError):
        read_line(next(raw_lines(pieces)), "/v1/chat/completions")
