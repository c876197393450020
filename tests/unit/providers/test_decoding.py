"""Bytes become JSON, however they are framed, compressed or spoiled."""

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.providers.decoding import UnreadableError, inflated, json_in, objects_in, without_halves

MAX = 1_000_000
EVENT = b'data: {"a": 1}\n\n'


def bare(content: bytes) -> bytes:
    return zlib.compress(content)[2:-4]


COMPRESSIONS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("", gzip.compress),
    ("identity", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("", bytes),
    ("gzip", bytes),
    ("deflate", bytes),
    ("br", bytes),
]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSIONS)
@given(cuts=st.lists(st.integers(0, 60), max_size=10))
def test_a_body_is_read_however_it_is_compressed(
    encoding: str, compress: Callable[[bytes], bytes], cuts: list[int]
) -> None:
    content = compress(b'{"choices": []}' * 3)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    parts = [content[start:end] for start, end in pairwise(edges)]
    assert b"".join(inflated(parts, encoding, MAX)) == b'{"choices": []}' * 3


def test_a_compressed_stream_comes_event_by_event() -> None:
    compressor = zlib.compressobj(wbits=31)
    first = compressor.compress(EVENT) + compressor.flush(zlib.Z_SYNC_FLUSH)
    arrived = inflated(iter([first, compressor.compress(EVENT) + compressor.flush()]), "gzip", MAX)
    assert next(arrived) == EVENT


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("br", b"\x8b\x00\x80"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip", gzip.compress(b"{}" * 50, mtime=0)[:-9]),
        ("gzip", b"\x1f\x8bnonsense"),
        ("deflate", b"nonsense"),
        ("gzip", gzip.compress(b"\0" * (MAX + 1), mtime=0)),
        ("", b"x" * (MAX + 1)),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(encoding: str, content: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(inflated([content], encoding, MAX))


def test_a_body_that_grows_without_end_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000, 1)
    sizes = []
    with pytest.raises(UnreadableError, match="more than"):
        sizes += [len(part) for part in inflated([bomb], "gzip", MAX)]
    assert sum(sizes) <= MAX


def test_nothing_is_nothing() -> None:
    for encoding in ("", "gzip", "deflate", "br"):
        assert b"".join(inflated([], encoding, MAX)) == b""


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": NaN, "b": [Infinity, -Infinity], "c": 1e999}', {"a": None, "b": [None, None], "c": None}),
        (b'{"a": ' + b"9" * 5000 + b', "b": 12}', {"a": None, "b": 12}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
        (b' \r\n{"a": "\t"}\n', {"a": "\t"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
    ],
)
def test_json_is_read_leniently(content: bytes, value: Any) -> None:
    assert json_in(content) == value


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"no", b"{'a': 1}"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        json_in(content)


def test_what_is_nested_too_deeply_is_refused() -> None:
    value: Any = "a"
    for _ in range(5_000):
        value = [value]
    with pytest.raises(UnreadableError, match="deeply"):
        without_halves(value)


DONE = None
OBJECT: dict[str, Any] = {"a": 1}
STREAMS: list[tuple[bytes, list[Any]]] = [
    (b'data: {"a": 1}\n\ndata: [DONE]\n\n', [OBJECT, DONE]),
    (b'data:{"a": 1}\r\n\r\ndata:[DONE]\r\n\r\n', [OBJECT, DONE]),
    (b'data: {"a": 1}  \n\ndata:  [DONE] \n\n', [OBJECT, DONE]),
    (b'data: {"a": 1}\n\ndata: [done]', [OBJECT, DONE]),
    (b'data: {"a": 1}\n\ndata: "[DONE]"\n\n', [OBJECT, DONE]),
    (b'\xef\xbb\xbfdata: {"a": 1}\n\n', [OBJECT]),
    (b': OPENROUTER PROCESSING\n\n: keep-alive\n\ndata: {"a": 1}\n\n', [OBJECT]),
    (b'data:\n\ndata: \n\ndata: {"a": 1}\n\ndata\n\n', [OBJECT]),
    (b'data: ping\n\ndata: keep-alive\n\ndata: : heartbeat\n\ndata: {"a": 1}\n\n', [OBJECT]),
    (b'data: OPENROUTER PROCESSING\n\ndata: {"a": 1}\n\n', [OBJECT]),
    (b'id: 1\nretry: 10\nevent: completion\ndata: {"a": 1}\n\n', [OBJECT]),
    (b"data: null\n\n", []),
    (b'data: {"a": 1}\ndata: {"a": 1}\ndata: [DONE]\n', [OBJECT, OBJECT, DONE]),
    (b'event: ping\ndata: {"type": "ping"}\n\n', [{"type": "ping"}]),
    (b'event: error\ndata: {"message": "m"}\n\n', [{"error": {"message": "m"}}]),
    (b'event: error\ndata: {"error": {"message": "m"}}\n\n', [{"error": {"message": "m"}}]),
    (b"event: error\ndata: out of memory\n\n", [{"error": "out of memory"}]),
    (b"event: error\n\n", [{"error": "an error event"}]),
    (b'{"a": 1}', [OBJECT]),
    (b'\n {"a": 1}\n', [OBJECT]),
    (b'\xef\xbb\xbf{"a":\n1}', [OBJECT]),
    (b'[{"a": 1}, {"a": 1}]', [OBJECT, OBJECT]),
    (b'{"a": 1}\n{"a": 1}\n\n', [OBJECT, OBJECT]),
    (b'data: {"a": "\xff"}\n\n', [{"a": "\ufffd"}]),
    (b"", []),
    (b"<html><body>Bad gateway</body></html>", []),
]


@pytest.mark.parametrize(("content", "expected"), STREAMS, ids=range(len(STREAMS)))
def test_the_objects_of_a_stream_are_found(content: bytes, expected: list[Any]) -> None:
    assert [each.body for each in objects_in([content])] == expected
    assert [each.body for each in objects_in(content[at : at + 1] for at in range(len(content)))] == expected


SPOILED = [
    b'data: {"a": oops\n\n',
    b"data: [1, 2]\n\n",
    b"data: 7\n\n",
    b'data: "text"\n\n',
    b"data: Internal error\n\n",
    b'{"a": oops',
    b"[1, 2]",
    b'{"a": 1}\n{"a": oops',
]


@pytest.mark.parametrize("content", SPOILED)
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(objects_in([content]))


def test_an_object_comes_as_soon_as_it_is_complete() -> None:
    arrived = []

    def parts() -> Any:
        for part in (b"data: ", b'{"a": 1}\n\n', b"data: [DONE]\n\n"):
            arrived.append(part)
            yield part

    assert next(objects_in(parts())).body == OBJECT
    assert len(arrived) == 2


@given(st.binary())
def test_no_bytes_do_anything_else(content: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        for found in objects_in([content]):
            assert json.dumps(found.body)
