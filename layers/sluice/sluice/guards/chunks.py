"""Guards the chunks of a streamed answer: every text in them goes through a sliding window of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.chat import ChatChunk, JsonObject
from sluice.guards.output import StreamGuard
from sluice.guards.rules import Finding, Mode

# (choice, tool call), the latter None for the choice's own text.
type _Place = tuple[int, int | None]


class ChunkGuard:
    """Releases chunks with what the windows let out; what they hold back comes with the choice's last chunk."""

    def __init__(self, modes: Mapping[str, Mode]) -> None:
        self._modes = modes
        self._guards: dict[_Place, StreamGuard] = {}
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
                yield ChatChunk({**self._frame, "choices": [{"index": index, "delta": delta, "finish_reason": None}]})

    def _choice(self, choice: JsonObject) -> JsonObject:
        index = int(choice.get("index", 0))
        delta = choice.get("delta") or {}
        guarded = self._delta(index, delta)
        if choice.get("finish_reason") is not None:
            guarded = self._finish(index, guarded)
        return choice if guarded is delta or guarded == delta else {**choice, "delta": guarded}

    def _delta(self, index: int, delta: JsonObject) -> JsonObject:
        changed: dict[str, Any] = {}
        if isinstance(delta.get("content"), str) and delta["content"]:
            changed["content"] = self._feed((index, None), delta["content"])
        if isinstance(delta.get("tool_calls"), list):
            changed["tool_calls"] = [self._call(index, call) for call in delta["tool_calls"]]
        return {**delta, **changed} if changed else delta

    def _call(self, index: int, call: JsonObject) -> JsonObject:
        function = call.get("function") or {}
        if not isinstance(function.get("arguments"), str) or not function["arguments"]:
            return call
        released = self._feed((index, int(call.get("index", 0))), function["arguments"])
        return {**call, "function": {**function, "arguments": released}}

    def _finish(self, index: int, delta: JsonObject) -> JsonObject:
        finished = delta
        for place in [place for place in self._guards if place[0] == index]:
            held = self._guards[place].finish()
            if not held:
                continue
            if place[1] is None:
                finished = {**finished, "content": (finished.get("content") or "") + held}
            else:
                calls = list(finished.get("tool_calls") or [])
                calls.append({"index": place[1], "function": {"arguments": held}})
                finished = {**finished, "tool_calls": calls}
        return finished

    def _feed(self, place: _Place, text: str) -> str:
        return self._guards.setdefault(place, StreamGuard(self._modes)).feed(text)
