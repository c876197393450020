"""Guards the chunks of a streamed answer: every text that grows goes through a sliding window of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.chat import ChatChunk, JsonObject
from sluice.chat_stream import ENDS
from sluice.guards.output import StreamGuard, check_value
from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import Finding, Mode

TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
"""Where a choice's own texts are: what a model thinks is read by people too."""

# Said once, or the same each time: judged by itself.
_STATED = frozenset(("created", "finish_reason", "id", "index", "model", "name", "object", "role", "type"))
# Texts that grow with each chunk further down in a delta, as they grow right in it.
_GROWING = frozenset((*TEXTS, "arguments", "input", "summary", "text", "thinking", "transcript"))
_MOST_LEVELS = 16

# What tells the items of a list apart: where they are, or their id.
type _Item = tuple[int | str, str]
# A choice, and the way to a text in its delta.
type _Place = tuple[int, tuple[str | _Item, ...]]


class ChunkGuard:
    """Releases chunks with what the windows let out; what they hold back comes with the choice's last chunk.

    Every string in a chunk is judged. Those that grow are held back at their end, until they have ended: at the latest
    when another text, call or thought begins. The others leave with their chunk, or not at all. `release` and `rest`
    raise GuardBlockedError if a rule blocks.
    """

    def __init__(self, modes: Mapping[str, Mode]) -> None:
        self._modes = modes
        self._guards: dict[_Place, StreamGuard] = {}
        self._watches: dict[_Place, StreamGuard] = {}
        self._items = _Items()
        self._judged: dict[_Place, Any] = {}
        self._stated: dict[str, Finding] = {}
        self._begun: set[_Place] = set()
        self._has_begun = False
        # Of one choice after the other: what has grown since the last time that something began, and in this chunk.
        self._growing: dict[_Place, None] = {}
        self._fed: dict[_Place, None] = {}
        self._held_logprobs: dict[int, list[JsonObject]] = {}
        self._frame: JsonObject = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the rules found so far, each rule once."""
        guards = (*self._guards.values(), *self._watches.values())
        found = {finding.rule_id: finding for guard in guards for finding in guard.findings}
        return tuple((found | self._stated).values())

    def release(self, chunk: ChatChunk) -> ChatChunk:
        """The chunk with the text that may go out now."""
        choices = chunk.body.get("choices") or []
        self._frame = {name: value for name, value in chunk.body.items() if name not in {"choices", "usage"}}
        self._judge((-1, ()), {name: each for name, each in self._frame.items() if not isinstance(each, int | float)})
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
        index = int(choice.get("index") or 0)
        delta = choice.get("delta") or {}
        # Logprobs spell out the texts, and are held back with them.
        self._judge((index, ()), {name: each for name, each in choice.items() if name not in {"delta", "logprobs"}})
        self._has_begun = False
        self._fed.clear()
        guarded = self._object((index, ()), delta)
        if choice.get("finish_reason") in ENDS:
            guarded = self._finish(index, guarded)
        elif self._has_begun:
            # What came before it has ended. Clients that take one text after the other have it whole before the next.
            guarded = self._ended(index, guarded)
        self._growing |= self._fed
        shown = choice if guarded is delta or guarded == delta else {**choice, "delta": guarded}
        return self._with_logprobs(shown, index)

    def _value(self, place: _Place, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(place, value) if value else value
        if len(place[1]) > _MOST_LEVELS:
            self._judge(place, value)
            return value
        if isinstance(value, dict):
            return self._object(place, value)
        if isinstance(value, list):
            places = [_further(place, self._items.of(place, at, item)) for at, item in enumerate(value)]
            for each in places:
                self._begin(each)
            items = [self._value(each, item) for each, item in zip(places, value, strict=True)]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        return value

    def _object(self, place: _Place, value: JsonObject) -> JsonObject:
        guarded = {name: self._value(_further(place, name), inner) for name, inner in value.items()}
        return value if all(guarded[name] is inner for name, inner in value.items()) else guarded

    def _text(self, place: _Place, text: str) -> str:
        names = [step for step in place[1] if isinstance(step, str)]
        if names[-1] in _STATED:
            self._judge(place, text)
            return text
        if isinstance(place[1][-1], str) and (len(names) == 1 or names[-1] in _GROWING):
            self._begin(place)
            self._fed[place] = None
            return self._guard(self._guards, place).feed(text)
        # It should be whole; but if it grows after all, no more of a secret leaves than came before it was one.
        self._judge(place, text)
        self._guard(self._watches, place).feed(text)
        return text

    def _begin(self, place: _Place) -> None:
        if place not in self._begun:
            self._begun.add(place)
            self._has_begun = True

    def _guard(self, guards: dict[_Place, StreamGuard], place: _Place) -> StreamGuard:
        if place not in guards:
            guards[place] = StreamGuard(self._modes)
        return guards[place]

    def _judge(self, place: _Place, value: Any) -> None:
        """Judge what is stated, unless it was said before."""
        if value and self._judged.get(place) != value:
            self._judged[place] = value
            found = check_value(value, modes=self._modes)
            self._stated |= {finding.rule_id: finding for finding in found}
            raise_if_blocked(found, param=None)

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
        return any(guard.held_characters for place, guard in self._guards.items() if place[0] == index)

    def _ended(self, index: int, delta: JsonObject) -> JsonObject:
        """The delta with what is held back of texts that grew before it and not in it."""
        for place in [each for each in self._growing if each[0] == index and each not in self._fed]:
            del self._growing[place]
            if self._guards[place].held_characters and (held := self._guards[place].finish()):
                delta = self._with_rest(delta, (index, ()), place[1], held)
        return delta

    def _finish(self, index: int, delta: JsonObject) -> JsonObject:
        for place, guard in self._guards.items():
            if place[0] == index and (held := guard.finish()):
                delta = self._with_rest(delta, (index, ()), place[1], held)
        return delta

    def _with_rest(self, delta: JsonObject, place: _Place, steps: tuple[str | _Item, ...], text: str) -> JsonObject:
        """The delta with the rest of a text at the end of these steps."""
        name, item, *_ = *steps, None
        if not isinstance(name, str):
            raise TypeError(f"a text is in an object, and was to be at {name!r}")
        here, known = _further(place, name), delta.get(name)
        added: Any
        if item is None:
            added = [*known, {"type": "text", "text": text}] if isinstance(known, list) else (known or "") + text
        elif isinstance(item, str):
            added = self._with_rest(known or {}, here, steps[1:], text)
        else:
            inner = self._with_rest(self._items.named(here, item), _further(here, item), steps[2:], text)
            added = [*(known or []), inner]
        return {**delta, name: added}


class _Items:
    """Tells the items of lists apart, across chunks: by index, or ids that share one, or id, or where they are."""

    def __init__(self) -> None:
        self._by_index: dict[tuple[_Place, int], list[_Item]] = {}
        self._newest: dict[_Place, _Item] = {}
        self._kinds: dict[tuple[_Place, _Item], Any] = {}

    def of(self, place: _Place, position: int, item: Any) -> _Item:
        """Which item of the list at `place` this is, or goes on with."""
        if not isinstance(item, dict):
            return position, ""
        index, identity = item.get("index"), item.get("id")
        found: _Item
        if isinstance(index, int):
            found = self._at(place, index, identity)
        elif isinstance(identity, str) and identity:
            found = "", identity
        elif place[1][-1] == "tool_calls" and place in self._newest:
            found = self._newest[place]
        else:
            found = position, ""
        self._newest[place] = found
        self._kinds.setdefault((place, found), item.get("type"))
        return found

    def named(self, place: _Place, item: _Item) -> JsonObject:
        """What a further part of an item has to say for whoever puts the parts together."""
        index, identity = item
        if isinstance(index, str):
            return {"id": identity}
        sharing = self._by_index.get((place, index), ())
        if sharing or place[1][-1] == "tool_calls":
            return {"index": index, "id": identity} if len(sharing) > 1 else {"index": index}
        kind = self._kinds.get((place, item))
        return {"type": kind} if kind else {}

    def _at(self, place: _Place, index: int, identity: Any) -> _Item:
        sharing = self._by_index.setdefault((place, index), [])
        if not sharing or (identity and sharing[-1][1] and sharing[-1][1] != identity):
            sharing.append((index, identity if isinstance(identity, str) else ""))
        return sharing[-1]


def _further(place: _Place, step: str | _Item) -> _Place:
    return place[0], (*place[1], step)
