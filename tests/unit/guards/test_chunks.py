"""What the output guard lets out of a stream: all that is harmless, unchanged, and nothing of a secret."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.chat import ChatChunk
from sluice.chat_stream import assemble
from sluice.errors import GuardBlockedError
from sluice.guards.chunks import TEXTS, ChunkGuard
from sluice.guards.rules import Mode

SECRET = "sk-proj-Zq8Lw3Xv9Bn2Mk5Jh7Gf4Ds6Ap1Qo0RtYuIeWqZxCvBn"
HARMLESS = "The  quick brown fox\njumps over sk and AKIA, see sk-learn: (x) 😀."


def chunk(delta: dict[str, Any], *, index: int = 0, finish: str | None = None, logprobs: Any = None) -> ChatChunk:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = logprobs
    return ChatChunk({"id": "x", "model": "m", "choices": [choice]})


def spelled(piece: str) -> dict[str, Any]:
    return {"content": [{"token": piece, "logprob": -0.1}]}


def released(chunks: list[ChatChunk], modes: dict[str, Mode] | None = None) -> list[ChatChunk]:
    guard = ChunkGuard(modes or {})
    return [*(guard.release(each) for each in chunks), *guard.rest()]


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=12), ends=st.booleans(), name=st.sampled_from(TEXTS))
def test_harmless_text_and_its_logprobs_come_out_as_they_went_in(places: list[int], ends: bool, name: str) -> None:
    pieces = cut(HARMLESS, places)
    chunks = [chunk({name: piece}, logprobs=spelled(piece)) for piece in pieces]
    if ends:
        chunks.append(chunk({}, finish="stop"))
    [choice] = assemble(released(chunks))["choices"]
    assert choice["message"][name] == HARMLESS
    assert [entry["token"] for entry in choice["logprobs"]["content"]] == pieces


@settings(deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=12), name=st.sampled_from(TEXTS))
def test_no_part_of_a_secret_comes_out_as_text_or_as_logprobs(places: list[int], name: str) -> None:
    text = f"It is {SECRET} indeed."
    guard = ChunkGuard({})
    chunks = [chunk({name: piece}, logprobs=spelled(piece)) for piece in cut(text, places)]
    out: list[Any] = []
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        out.extend(guard.release(each).body for each in [*chunks, chunk({}, finish="stop")])
    shown = "".join(each["choices"][0]["delta"].get(name) or "" for each in out)
    logprobs = [each["choices"][0].get("logprobs") or {"content": []} for each in out]
    tokens = "".join(entry["token"] for part in logprobs for entry in part["content"])
    for leaving in (shown, tokens):
        assert "sk-proj-Z" not in leaving
        assert SECRET[12:24] not in leaving


@settings(deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=8))
def test_arguments_of_tool_calls_are_guarded_each_by_itself(places: list[int]) -> None:
    text = f'{{"key": "{SECRET}"}}'
    opening = chunk({"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f", "arguments": ""}}]})
    chunks = [opening]
    chunks += [chunk({"tool_calls": [{"index": 1, "function": {"arguments": piece}}]}) for piece in cut(text, places)]
    chunks.append(chunk({}, finish="tool_calls"))
    with pytest.raises(GuardBlockedError):
        released(chunks)
    [choice] = assemble(released(chunks, {"secret-api-key": Mode.FLAG}))["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == text


def test_choices_do_not_mix() -> None:
    halves = SECRET[:20], SECRET[20:]
    chunks = [chunk({"content": halves[0]}, index=0), chunk({"content": halves[1]}, index=1)]
    chunks += [chunk({}, index=index, finish="stop") for index in (0, 1)]
    choices = assemble(released(chunks))["choices"]
    assert [choice["message"]["content"] for choice in choices] == list(halves)


def test_what_the_guard_has_no_business_with_is_the_same_object() -> None:
    guard = ChunkGuard({})
    for untouched in (
        chunk({"role": "assistant"}),
        ChatChunk({"choices": [], "usage": {"prompt_tokens": 1}}),
        ChatChunk({"choices": None}),
        chunk({"tool_calls": None, "content": None}),
    ):
        assert guard.release(untouched) is untouched


def test_a_tool_call_whose_index_is_null_is_guarded_too() -> None:
    call = {"index": None, "function": {"name": "f", "arguments": '{"x": 1}'}}
    body = assemble(released([chunk({"tool_calls": [call]}), chunk({}, finish="tool_calls")]))
    (said,) = body["choices"][0]["message"]["tool_calls"]
    assert said["function"]["arguments"] == '{"x": 1}'


@pytest.mark.parametrize("extension", ["none", [], 1, {"usage": "none"}, {}])
def test_an_extension_of_another_form_has_no_usage(extension: object) -> None:
    assert ChatChunk({"choices": [], "x_groq": extension}).usage is None
