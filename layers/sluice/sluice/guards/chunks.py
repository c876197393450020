"""Guards the chunks of a streamed answer: every text in them goes through a sliding window of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.chat import ChatChunk, JsonObject
from sluice.guards.output import StreamGuard
from sluice.guards.rules import Finding, Mode

TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
"""Where a choice's own texts are: what a model thinks is read by people too."""

# (choice, where in its delta): the name of a text, or the index of a tool call.
type _Place = tuple[int, str | int]


class ChunkGuard:
    """Releases chunks with what the windows let out; what they hold back comes with the choice's last chunk."""

    def __init__(self, modes: Mapping[str, Mode]) -> None:
        self._modes = modes
        self._guards: dict[_Place, StreamGuard] = {}
        self._held_characters: dict[_Place, int] = {}
        self._held_logprobs: dict[int, list[JsonObject]] = {}
        self._frame: JsonObject = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the rules found so far, each rule once."""
        found = {finding.rule_id: finding for guard in self._guards.values() for finding in guard.findings}
        return tuple(found.values())

    def release(self, chunk: ChatChunk) -> ChatChunk:
        """The chunk with the text that may go out now. Raises GuardBlockedError if a rule blocks."""
        choices = chunk.body.get("choices") or []
        self._frame = {name: value for name, value in chunk.body.items() if name not in {"choices", "usage"}}
        guarded = [self._choice(choice) for choice in choices]
        if all(new is old for new, old in zip(guarded, choices, strict=True)):
            return chunk
        return ChatChunk({**chunk.body, "choices": guarded})

    def rest(self) -> Iterator[ChatChunk]:
        """What is still held back of choices that never said they were finished."""
        for index in sorted({index for index, _ in self._guards}):
            delta = self._finish(index, {})
            if delta:
                choice = {"index": index, "delta": delta, "finish_reason": None}
                yield ChatChunk({**self._frame, "choices": [self._with_logprobs(choice, index)]})

    def _choice(self, choice: JsonObject) -> JsonObject:
        index = int(choice.get("index", 0))
        delta = choice.get("delta") or {}
        guarded = self._delta(index, delta)
        if choice.get("finish_reason") is not None:
            guarded = self._finish(index, guarded)
        shown = choice if guarded is delta or guarded == delta else {**choice, "delta": guarded}
        return self._with_logprobs(shown, index)

    def _delta(self, index: int, delta: JsonObject) -> JsonObject:
        changed: dict[str, Any] = {}
        for name in TEXTS:
            if isinstance(delta.get(name), str) and delta[name]:
                changed[name] = self._feed((index, name), delta[name])
        if isinstance(delta.get("tool_calls"), list):
            changed["tool_calls"] = [self._call(index, call) for call in delta["tool_calls"]]
        return {**delta, **changed} if changed else delta

    def _call(self, index: int, call: JsonObject) -> JsonObject:
        function = call.get("function") or {}
        if not isinstance(function.get("arguments"), str) or not function["arguments"]:
            return call
        released = self._feed((index, call.get("index") or 0), function["arguments"])
        return {**call, "function": {**function, "arguments": released}}

    def _with_logprobs(self, choice: JsonObject, index: int) -> JsonObject:
        """The choice with the logprobs of what is out: they spell out the text, so they are held back with it."""
        logprobs = choice.get("logprobs")
        held = self._held_logprobs.get(index, [])
        if not held and (not logprobs or not self._is_holding(index)):
            return choice
        if logprobs:
            held = self._held_logprobs.setdefault(index, [])
            held.append(logprobs)
        if self._is_holding(index):
            return {**choice, "logprobs": None}
        del self._held_logprobs[index]
        merged: JsonObject = {}
        for part in held:
            for name, tokens in part.items():
                known = merged.get(name)
                merged[name] = [*known, *tokens] if isinstance(known, list) and isinstance(tokens, list) else tokens
        return {**choice, "logprobs": merged}

    def _is_holding(self, index: int) -> bool:
        return any(self._held_characters.get((index, name)) for name in TEXTS)

    def _finish(self, index: int, delta: JsonObject) -> JsonObject:
        finished = delta
        for place in [place for place in self._guards if place[0] == index]:
            held = self._guards[place].finish()
            self._held_characters[place] = 0
            if not held:
                continue
            where = place[1]
            if isinstance(where, str):
                finished = {**finished, where: (finished.get(where) or "") + held}
            else:
                calls = list(finished.get("tool_calls") or [])
                calls.append({"index": where, "function": {"arguments": held}})
                finished = {**finished, "tool_calls": calls}
        return finished

    def _feed(self, place: _Place, text: str) -> str:
        released = self._guards.setdefault(place, StreamGuard(self._modes)).feed(text)
        self._held_characters[place] = self._held_characters.get(place, 0) + len(text) - len(released)
        return released
