"""Chunks of a streamed chat as events of the Messages API. Pure.

There, blocks follow one another and only one is open. Chunks of a chat say of each part which call or thought it
belongs to, and may go from one to the other: once something comes between the parts of a call, it and what follows it
waits for the end.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import field

from sluice.api.anthropic.answer_types import AnswerBlock, ContentBlockDelta, Delta, Event, MessageDelta
from sluice.api.anthropic.message import (
    DIRECT,
    ENDING_FIELDS,
    NO_EDITS,
    AskedMessage,
    begun_message,
    check_parts,
    citations_in,
    is_cut,
    message_ending,
    message_usage,
    thinking_text,
    tool_input,
    tool_name,
)
from sluice.api.sealed import extra_of, sealed_extra
from sluice.chat import ChatChunk, JsonObject, Usage
from sluice.errors import InvalidAnswerError
from sluice.loading.dataclass import dataclass

type _Key = tuple[str, object]
"""A block: its kind, and which of them, None where it is not said."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a block. `text` is that of a text or a thought, or JSON of a call's input."""

    key: _Key
    text: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""
    citation: JsonObject | None = None


_SPECIAL = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


class _Json:
    """Whether a text that grows may be a whole JSON object or list: each part of it is looked at once."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = self._is_escaped = False
        self.is_complete = False

    def feed(self, text: str) -> None:
        """Take more of it, which is not empty."""
        start, self._is_escaped = int(self._is_escaped), False
        for found in _SPECIAL.finditer(text, start):
            special = found[0]
            if special[0] == "\\":
                # What it escapes may be in the next part.
                self._is_escaped = len(special) == 1
            elif special == '"':
                self._is_in_string = not self._is_in_string
            elif not self._is_in_string:
                self._depth += 1 if special in "{[" else -1
                self.is_complete = self._depth <= 0


@dataclass(slots=True)
class _Open:
    """The block that is open."""

    key: _Key
    index: int
    texts: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    json: _Json = field(default_factory=_Json)

    @property
    def may_end(self) -> bool:
        return self.key[0] != "tool_use" or self.json.is_complete


def message_events(chunks: Iterable[ChatChunk], asked: AskedMessage) -> Iterator[Event]:
    """The events of a streamed answer. Raises what `chunks` raise, and InvalidAnswerError for calls that are none."""
    blocks = _Blocks()
    last: JsonObject = {}
    usage: JsonObject = {}
    has_begun = has_refused = False
    for chunk in chunks:
        # Azure begins with a chunk about the prompt, which has no id.
        if not has_begun and (chunk.body.get("id") or chunk.body.get("choices")):
            has_begun = True
            yield from _beginning(chunk.body, asked)
        if chunk.usage is not None:
            usage = chunk.body if Usage.from_body(chunk.body) else chunk.body["x_groq"]
        for choice in chunk.body.get("choices") or []:
            if choice.get("index"):
                continue
            delta = choice.get("delta") or {}
            check_parts(delta)
            has_refused = has_refused or bool(delta.get("refusal"))
            yield from blocks.feed(delta)
            # Some of it may be said at the beginning.
            last |= {name: value for name, value in choice.items() if name in ENDING_FIELDS and value is not None}
    if not has_begun:
        yield from _beginning({}, asked)
    yield from blocks.end(is_cut=is_cut(last))
    ended: MessageDelta = {
        "type": "message_delta",
        "delta": message_ending(last, asked, has_refused=has_refused),
        "usage": message_usage(usage),
    }
    if asked.manages_context:
        ended["context_management"] = NO_EDITS
    yield ended
    yield {"type": "message_stop"}


def _beginning(body: JsonObject, asked: AskedMessage) -> Iterator[Event]:
    yield {"type": "message_start", "message": begun_message(body, asked)}
    yield {"type": "ping"}


class _Blocks:
    """The blocks of one answer, in the order in which they begin."""

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._next_index = 0
        self._waiting: list[_Piece] = []
        self._ended: set[_Key] = set()
        self._has_thinking_blocks = False
        self._call_ids: dict[object, str] = {}
        self._late_extras: dict[str, JsonObject] = {}
        self._is_cut = False
        self._named: set[_Key] = set()
        self._nameless: dict[_Key, _Piece] = {}

    def feed(self, delta: JsonObject) -> Iterator[Event]:
        """The events of what is new."""
        pieces = list(self._pieces(delta))
        key = self._open.key if self._open else None
        # What still belongs to the open block is first, wherever in the delta it is.
        for piece in [*(each for each in pieces if each.key == key), *(each for each in pieces if each.key != key)]:
            yield from self._take(piece)

    def end(self, *, is_cut: bool) -> Iterator[Event]:
        """The events of what waits, block by block, and of the end of the last one.

        `is_cut`: calls may lack their end, as they do in Anthropic's own streams that reach a limit.
        """
        self._is_cut = is_cut
        by_key: dict[_Key, list[_Piece]] = {}
        for piece in self._waiting:
            by_key.setdefault(piece.key, []).append(piece)
        for pieces in by_key.values():
            yield from self._close()
            for piece in pieces:
                yield from self._add(piece)
        if not is_cut:
            for piece in self._nameless.values():
                yield from self._add(piece)
        for call_id, extra in self._late_extras.items():
            yield from self._add(_signature(call_id, extra))
        yield from self._close()

    def _take(self, piece: _Piece) -> Iterator[Event]:
        block = self._open
        if block is not None and piece.key != block.key and (self._waiting or not block.may_end):
            self._waiting.append(piece)
        else:
            yield from self._add(piece)

    def _add(self, piece: _Piece) -> Iterator[Event]:
        if self._open is None or piece.key != self._open.key:
            if piece.key in self._ended:
                if piece.text.strip():
                    raise InvalidAnswerError("The model goes on with a call of a tool, or a thought, that has ended.")
                return
            yield from self._close()
            if piece.key[0] == "tool_use":
                tool_name({"name": piece.name})
            self._open = _Open(piece.key, self._next_index)
            self._next_index += 1
            yield {"type": "content_block_start", "index": self._open.index, "content_block": _begun(piece)}
        if piece.signature:
            self._open.signatures.append(piece.signature)
        if piece.citation is not None:
            yield _delta_of(self._open, {"type": "citations_delta", "citation": piece.citation})
        if piece.text and piece.key[0] != "redacted_thinking":
            yield self._delta(self._open, piece)

    def _delta(self, block: _Open, piece: _Piece) -> ContentBlockDelta:
        match block.key[0]:
            case "text":
                return _delta_of(block, {"type": "text_delta", "text": piece.text})
            case "thinking":
                return _delta_of(block, {"type": "thinking_delta", "thinking": piece.text})
            case _:
                block.json.feed(piece.text)
                block.texts.append(piece.text)
                return _delta_of(block, {"type": "input_json_delta", "partial_json": piece.text})

    def _close(self) -> Iterator[Event]:
        block, self._open = self._open, None
        if block is None:
            return
        if block.key[1] is not None:
            self._ended.add(block.key)
        if block.signatures:
            # Clients take the last one for the whole.
            signature = "".join(block.signatures)
            yield _delta_of(block, {"type": "signature_delta", "signature": signature})
        if block.key[0] == "tool_use" and not self._is_cut:
            tool_input("".join(block.texts))
        yield {"type": "content_block_stop", "index": block.index}

    def _pieces(self, delta: JsonObject) -> Iterator[_Piece]:
        yield from self._thoughts(delta)
        for name in ("content", "refusal"):
            if isinstance(delta.get(name), str) and delta[name]:
                yield _Piece(("text", None), delta[name])
        for cited in citations_in(delta):
            yield _Piece(("text", None), citation=cited)
        for call in delta.get("tool_calls") or []:
            function = call.get("function") or {}
            yield from self._signatures(call)
            piece = _Piece(
                ("tool_use", call.get("index")),
                str(function.get("arguments") or ""),
                id=str(call.get("id") or ""),
                name=str(function.get("name") or ""),
            )
            yield from self._once_named(piece)
        if isinstance(function := delta.get("function_call"), dict):
            # The form before tools, which has one call and no id.
            name, arguments = (str(function.get(part) or "") for part in ("name", "arguments"))
            yield _Piece(("tool_use", "function_call"), arguments, id="call_0", name=name)

    def _once_named(self, piece: _Piece) -> Iterator[_Piece]:
        """The part of a call, with what came before its name: a block begins with it, and some send the id first."""
        if (held := self._nameless.pop(piece.key, None)) is not None:
            piece = _Piece(piece.key, held.text + piece.text, id=held.id or piece.id, name=piece.name)
        if piece.name:
            self._named.add(piece.key)
        if piece.key in self._named:
            yield piece
        else:
            self._nameless[piece.key] = piece

    def _signatures(self, call: JsonObject) -> Iterator[_Piece]:
        """What has to go back with a call, in front of it; at the end, where it comes after the call has begun."""
        index, extra = call.get("index"), extra_of(call)
        known = self._call_ids.get(index)
        call_id = self._call_ids.setdefault(index, str(call.get("id") or ""))
        if extra is not None and known is None:
            yield _signature(call_id, extra)
        elif extra is not None:
            self._late_extras[call_id] = {**self._late_extras.get(call_id, {}), **extra}

    def _thoughts(self, delta: JsonObject) -> Iterator[_Piece]:
        blocks = delta.get("thinking_blocks")
        if isinstance(blocks, list) and blocks:
            # The same text comes as `reasoning_content`.
            self._has_thinking_blocks = True
            for block in blocks:
                kind = "redacted_thinking" if block.get("type") == "redacted_thinking" else "thinking"
                text = str(block.get("data" if kind == "redacted_thinking" else "thinking") or "")
                yield _Piece((kind, block.get("index")), text, signature=str(block.get("signature") or ""))
        elif not self._has_thinking_blocks and (text := thinking_text(delta)):
            yield _Piece(("thinking", None), text)


def _signature(call_id: str, extra: JsonObject) -> _Piece:
    return _Piece(("redacted_thinking", f"of {call_id}"), sealed_extra(call_id, extra))


def _delta_of(block: _Open, delta: Delta) -> ContentBlockDelta:
    return {"type": "content_block_delta", "index": block.index, "delta": delta}


def _begun(piece: _Piece) -> AnswerBlock:
    match piece.key[0]:
        case "text":
            return {"type": "text", "text": "", "citations": None}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "redacted_thinking":
            return {"type": "redacted_thinking", "data": piece.text}
        case _:
            return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}, "caller": DIRECT}
