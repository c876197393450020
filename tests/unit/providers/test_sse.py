"""Server-sent events are read as the HTML standard has it, wherever the network cuts them."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.providers.sse import Event, events

ends = st.sampled_from(["\n", "\r\n", "\r"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)


def data_of(parts: Iterable[bytes]) -> list[str]:
    return [event.data for event in events(parts)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """A stream as some server might write it, and the data in it."""
    # One kind of end per stream: \r followed by \n would be one end, not two.
    end = draw(ends)
    written, expected = draw(st.sampled_from(["", "\ufeff"])), []
    for lines in draw(st.lists(st.lists(texts, min_size=1, max_size=3), max_size=5)):
        for line in lines:
            noise = draw(st.sampled_from(["", ": comment", "event: x", "id: 1", "retry: 10", "unknown", ":"]))
            written += noise + end if noise else ""
            # Only one space after the colon belongs to the format.
            written += ("data: " if line.startswith(" ") or draw(st.booleans()) else "data:") + line + end
        written += end
        expected.append("\n".join(lines))
    return written.encode(), expected


@given(stream=streams(), cuts=st.lists(st.integers(0, 400), max_size=30))
def test_events_are_the_same_wherever_the_stream_is_cut(stream: tuple[bytes, list[str]], cuts: list[int]) -> None:
    content, expected = stream
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    parts = [content[start:end] for start, end in pairwise(edges)]
    assert data_of(parts) == expected
    assert data_of(content[position : position + 1] for position in range(len(content))) == expected


def test_an_event_comes_as_soon_as_it_is_complete() -> None:
    arrived = []

    def parts() -> Iterator[bytes]:
        for part in (b"data: 1\r", b"\n\r", b"\ndata: 2\n\n"):
            arrived.append(part)
            yield part

    assert next(events(parts())).data == "1"
    assert len(arrived) == 2


def test_what_stands_unfinished_at_the_end_is_an_event() -> None:
    assert data_of([b"data: 1\n\ndata: [DO", b"NE]"]) == ["1", "[DONE]"]


def test_a_line_separator_within_json_is_no_end_of_line() -> None:
    text = json.dumps("a\u2028b\x85c", ensure_ascii=False)
    assert data_of([f"data: {text}\n\n".encode()]) == [text]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert data_of([b"data: a\xff\n\n"]) == ["a\ufffd"]


def test_an_error_needs_no_data_and_other_events_do() -> None:
    content = b"event: error\n\nevent: ping\n\nevent: error\ndata: x\n\ndata: y\n\n"
    assert list(events([content])) == [Event("error", ""), Event("error", "x"), Event("", "y")]


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(ValueError, match="bytes"):
        data_of(b"x" * 1_000_000 for _ in range(100))
