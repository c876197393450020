"""What the output guard lets out of a stream: all that is harmless, unchanged, and nothing of a secret."""

from collections.abc import Callable
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


# Where a text may grow in a delta: what a part of it looks like, and what the whole of them comes to.
GROWING: dict[str, Callable[[str], dict[str, Any]]] = {
    "arguments": lambda text: {"tool_calls": [{"index": 1, "function": {"arguments": text}}]},
    "custom tool": lambda text: {"tool_calls": [{"index": 0, "custom": {"input": text}}]},
    "arguments by id": lambda text: {"tool_calls": [{"id": "c", "function": {"arguments": text}}]},
    "arguments of the newest call": lambda text: {"tool_calls": [{"function": {"arguments": text}}]},
    "function call": lambda text: {"function_call": {"arguments": text}},
    "transcript": lambda text: {"audio": {"transcript": text}},
    "part": lambda text: {"content": [{"type": "text", "text": text}]},
    "thought": lambda text: {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]},
    "reasoning": lambda text: {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": text}]},
    "unheard of": lambda text: {"afterthought": text},
}


def strings_in(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [text for each in inner for text in strings_in(each)]
    return [value] if isinstance(value, str) else []


def spelled_out(chunks: list[dict[str, Any]], shown: str) -> str:
    """What all parts come to, but for the strings that name kinds and ids."""
    names = {"text", "thinking", "reasoning.text", "c", "x", "m", shown}
    return "".join(text for each in chunks for text in strings_in(each["choices"]) if text not in names)


@pytest.mark.parametrize("place", GROWING)
@settings(deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=8), is_escaped=st.booleans())
def test_no_part_of_a_secret_comes_out_of_any_text_that_grows(place: str, places: list[int], is_escaped: bool) -> None:
    secret = "".join(f"\\u{ord(each):04x}" for each in SECRET) if is_escaped else SECRET
    chunks = [chunk(GROWING[place](piece)) for piece in cut(f'{{"key": "{secret}"}}', places)]
    guard = ChunkGuard({})
    out: list[Any] = []
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        out.extend(guard.release(each).body for each in [*chunks, chunk({}, finish="tool_calls")])
    assert spelled_out(out, "tool_calls") in '{"key": "'


@pytest.mark.parametrize("place", GROWING)
@settings(deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=8), ends=st.booleans())
def test_harmless_texts_come_out_as_they_went_in_wherever_they_grow(place: str, places: list[int], ends: bool) -> None:
    text = '{"say": "\\u0068i \\"you\\" \\\\", "n": [1, 2]}'
    chunks = [chunk(GROWING[place](piece)) for piece in cut(text, places)]
    out = [each.body for each in released([*chunks, *([chunk({}, finish="tool_calls")] if ends else [])])]
    assert spelled_out(out, "tool_calls") == text
    if place in {"arguments", "arguments by id", "function call", "transcript", "unheard of"}:
        [choice] = assemble(ChatChunk(each) for each in out)["choices"]
        assert text in strings_in(choice["message"])


@pytest.mark.parametrize(
    "delta",
    [
        {"annotations": [{"type": "url_citation", "url_citation": {"url": f"https://example.org/?key={SECRET}"}}]},
        {"tool_calls": [{"index": 0, "id": SECRET}]},
        {"tool_calls": [{"index": 0, "function": {"name": SECRET, "arguments": ""}}]},
        {"audio": {"id": "a", "expires_at": 1, "note": {"deep": [SECRET]}}},
        {"citations": [SECRET]},
        {"role": SECRET},
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": [[[[[[[[[SECRET]]]]]]]]]}}}}}}}}},
    ],
)
def test_a_secret_that_is_stated_never_leaves(delta: dict[str, Any]) -> None:
    guard = ChunkGuard({})
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        guard.release(chunk(delta))


@pytest.mark.parametrize("field", ["system_fingerprint", "id", "citations", "x_groq"])
def test_what_stands_beside_the_choices_is_judged_too(field: str) -> None:
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        ChunkGuard({}).release(ChatChunk({field: [SECRET] if field == "citations" else SECRET, "choices": []}))


def test_a_field_that_grows_against_all_custom_ends_the_stream_once_it_spells_a_secret() -> None:
    with pytest.raises(GuardBlockedError, match="secret-api-key"):
        released([chunk({"extra": {"note": piece}}) for piece in cut(SECRET, list(range(0, 60, 7)))])


def test_what_is_stated_leaves_with_its_chunk() -> None:
    guard = ChunkGuard({})
    delta = {
        "role": "assistant",
        "annotations": [{"url": "https://example.org/a"}],
        "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}],
        "audio": {"data": "UklGRgAAAABXQVZFZm10IA=="},
        "citations": ["https://example.org/b"],
    }
    assert guard.release(chunk(delta)).body["choices"][0]["delta"] == delta


def test_calls_that_share_an_index_do_not_mix() -> None:
    calls = [{"index": 0, "id": each, "function": {"name": "f", "arguments": f'{{"{each}": 1}}'}} for each in "ab"]
    chunks = [chunk({"tool_calls": [call]}) for call in calls]
    said: dict[str, str] = {}
    for each in released([*chunks, chunk({}, finish="tool_calls")]):
        for call in each.body["choices"][0]["delta"].get("tool_calls", ()):
            said[call["id"]] = said.get(call["id"], "") + call["function"]["arguments"]
    assert said == {"a": '{"a": 1}', "b": '{"b": 1}'}


@pytest.mark.parametrize("finish", [None, "", "null", "eos"])
def test_only_an_end_lets_out_what_is_held_back(finish: str | None) -> None:
    guard = ChunkGuard({})
    out = [
        guard.release(chunk({"content": piece}, finish=finish)) for piece in ("It is sk-proj-Zq8Lw3", "Xv9Bn2Mk5Jh7Gf")
    ]
    assert "".join(each.body["choices"][0]["delta"]["content"] for each in out) == "It is "


@given(st.lists(st.text(alphabet=st.characters()), max_size=5))
def test_any_text_passes_through(pieces: list[str]) -> None:
    out = released([chunk({"content": piece}) for piece in ["\ud83d", "\ude00 half \ud83d", *pieces]])
    assert "".join(each.body["choices"][0]["delta"]["content"] for each in out) == "".join(
        ["\ud83d", "\ude00 half \ud83d", *pieces]
    )


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


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "run", "arguments": ""}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"content": "Let me see s"}, {"tool_calls": [CALL]}),
        ({"reasoning_content": "Two and two is"}, {"content": "Four, "}),
        (
            {"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "It is"}]},
            {"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "d"}]},
        ),
        (
            {"tool_calls": [{**CALL, "function": {"name": "run", "arguments": '{"a": "sl-'}}]},
            {"tool_calls": [{**CALL, "index": 1, "id": "call_2"}]},
        ),
    ],
)
def test_a_text_is_whole_before_the_next_begins(before: dict[str, Any], after: dict[str, Any]) -> None:
    first, second, _ = released([chunk(before), chunk(after), chunk({}, finish="stop")])
    assert first.body["choices"][0]["delta"] != before
    so_far = assemble([first, second])["choices"][0]["message"]
    assert so_far == assemble([chunk(before), chunk(after)])["choices"][0]["message"]


def test_what_goes_on_beside_what_begins_is_held_back_still() -> None:
    first, second = released(
        [chunk({"reasoning_content": "It is s"}), chunk({"reasoning_content": "k-proj-", "content": "4"})]
    )[:2]
    said = [each.body["choices"][0]["delta"]["reasoning_content"] for each in (first, second)]
    assert said == ["It is ", ""]
