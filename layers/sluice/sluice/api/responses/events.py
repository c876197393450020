"""The events of a streamed response, from the chunks of a chat. Pure.

What a model thinks, says and calls is an item each. An item begins with the first part of it and is done when the next
one begins, but for calls: parts of several may come in turns, so they are done at the end.

A response that searches files is made of several answers: each but the last ends with searches, which are items too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.api.responses.answer import (
    Ending,
    ResponseFrame,
    added_usage,
    answered_response,
    beside_of,
    calls_of,
    cited_by,
    ending_of,
    shown_logprob,
    usage_of,
)
from sluice.api.responses.event_items import (
    AnsweredCall,
    AnsweredItem,
    AnsweredMessage,
    AnsweredSearch,
    AnsweredSignature,
    AnsweredThoughts,
)
from sluice.api.responses.file_search import NAME
from sluice.api.responses.reasoning import FIELDS, signature_item
from sluice.api.sealed import extra_of
from sluice.chat import ChatChunk, JsonObject
from sluice.chat_stream import assemble


class ResponseEvents:
    """Makes the events of one response. Feed it all chunks, and close it.

    With `searches` calls of the function `file_search` are no items: whoever feeds it searches. `passages` are those
    that the model was given, by their ids, as they are when it answers.
    """

    def __init__(
        self, frame: ResponseFrame, *, searches: bool = False, passages: Mapping[str, JsonObject] | None = None
    ) -> None:
        self._searches = searches
        self._passages = {} if passages is None else passages
        self._usage: JsonObject | None = None
        self._first = 0
        self._search: AnsweredSearch | None = None
        self._nameless: dict[int, list[JsonObject]] = {}
        self._hidden: set[int] = set()
        self._frame = frame
        self._number = 0
        self._chunks: list[ChatChunk] = []
        self._output: list[AnsweredItem] = []
        self._open: AnsweredMessage | AnsweredThoughts | None = None
        self._calls: dict[int, AnsweredCall] = {}
        self._late: dict[str, JsonObject] = {}
        self._phase: object = None
        # Those of tokens whose text comes in the next chunk, as that of a character in several tokens does.
        self._likelihoods: list[JsonObject] = []
        self._finish_reason: object = None
        self._body: JsonObject | None = None

    def opening(self) -> Iterator[JsonObject]:
        """The events before the first chunk."""
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self._frame.response("in_progress"))

    def chunk(self, chunk: ChatChunk) -> Iterator[JsonObject]:
        """The events that a chunk is."""
        self._chunks.append(chunk)
        for choice in chunk.body.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            yield from self._delta(choice.get("delta") or {}, choice)
            self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def body(self) -> JsonObject:
        """The chunks, all of which are here, as one `chat.completion` object."""
        if self._body is None:
            self._body = assemble(self._chunks)
        return self._body

    def items_done(self) -> Iterator[JsonObject]:
        """The events that end all items, after the last chunk."""
        body = self.body()
        message = body["choices"][0]["message"] if body["choices"] else {}
        for index, parts in self._nameless.items():
            if index not in self._hidden:
                for part in parts:
                    yield from self._shown_call(index, part)
        yield from self._legacy_call(message)
        beside, cited = beside_of(message), cited_by(message)
        if beside and not any(isinstance(item, AnsweredMessage) for item in self._output[self._first :]):
            yield from self._begin(self._message())
        for item in self._output[self._first :]:
            if isinstance(item, AnsweredMessage):
                item.stands_beside(beside, cited)
                break
        for call_id, extra in self._late.items():
            yield from self._signature(call_id, extra)
        self._give_likelihoods()
        undone = [item for item in self._output if not item.is_done]
        for item in undone:
            status = self.ending.item_status if item is self._output[-1] else "completed"
            yield from self._numbered(item.done(status))

    @property
    def ending(self) -> Ending:
        """How the answer has ended."""
        return ending_of(self._finish_reason)

    def searching(self) -> Iterator[JsonObject]:
        """The events that begin a search, after those of `items_done`."""
        self._search = AnsweredSearch(self._frame, len(self._output))
        yield from self._begin(self._search)
        yield from self._numbered(self._search.searching())

    def searched(self, queries: list[str], results: list[JsonObject] | None, status: str) -> Iterator[JsonObject]:
        """The events that end it. `results` are those that are shown, None if none are to be."""
        if self._search is None:
            raise RuntimeError("nothing is searched")
        self._search.finds(queries, results, status)
        yield from self._numbered(self._search.done(status))

    def next_answer(self) -> None:
        """Expect the chunks of another answer, which belongs to the same response."""
        self._usage = added_usage(self._usage, usage_of(self.body()))
        self._chunks, self._calls, self._late, self._open, self._body = [], {}, {}, None, None
        self._nameless, self._hidden, self._phase, self._finish_reason = {}, set(), None, None
        self._first = len(self._output)

    def cut_short(self) -> None:
        """Note that the response ends though its model wanted to go on."""
        self._finish_reason = None

    def response(self) -> JsonObject:
        """The response, when all items are done."""
        output = [item.shown for item in self._output]
        usage = added_usage(self._usage, usage_of(self.body()))
        return {**answered_response(self._frame, self.body(), self.ending, output), "usage": usage}

    def closing(self, response: JsonObject) -> JsonObject:
        """The last event, with the whole response."""
        return self._event(f"response.{response['status']}", response=response)

    def _delta(self, delta: JsonObject, choice: JsonObject) -> Iterator[JsonObject]:
        self._phase = delta.get("phase") or self._phase
        if thought := _thought(delta):
            if not isinstance(self._open, AnsweredThoughts):
                yield from self._begin(AnsweredThoughts(self._frame, len(self._output)))
            if isinstance(self._open, AnsweredThoughts):
                yield from self._numbered(self._open.add(thought))
        logprobs = (choice.get("logprobs") or {}).get("content") or []
        self._likelihoods += [shown_logprob(each) for each in logprobs]
        for kind, text in (("output_text", delta.get("content")), ("refusal", delta.get("refusal"))):
            if text:
                if not isinstance(self._open, AnsweredMessage):
                    yield from self._begin(self._message())
                if isinstance(self._open, AnsweredMessage):
                    self._open.phase = self._phase
                    likelihoods = self._likelihoods if kind == "output_text" else []
                    yield from self._numbered(self._open.add(kind, text, list(likelihoods)))
                    likelihoods.clear()
        for part in delta.get("tool_calls") or []:
            yield from self._call(part)

    def _call(self, part: JsonObject) -> Iterator[JsonObject]:
        index = part.get("index", 0)
        if self._searches and index not in self._calls:
            if index in self._hidden:
                return
            # Most providers name a call in its first part.
            parts = self._nameless.setdefault(index, [])
            parts.append(part)
            name = (part.get("function") or part.get("custom") or {}).get("name")
            if not name:
                return
            if name == NAME:
                self._hidden.add(index)
                return
            for each in self._nameless.pop(index):
                yield from self._shown_call(index, each)
            return
        yield from self._shown_call(index, part)

    def _shown_call(self, index: int, part: JsonObject) -> Iterator[JsonObject]:
        call, extra = self._calls.get(index), extra_of(part)
        if call is None:
            if extra is not None:
                yield from self._signature(str(part.get("id")), extra)
            call = self._calls[index] = AnsweredCall(self._frame, len(self._output), part)
            yield from self._begin(call)
        elif extra is not None:
            self._late[call.call_id] = {**self._late.get(call.call_id, {}), **extra}
        yield from self._numbered(call.add(part))

    def _signature(self, call_id: str, extra: JsonObject) -> Iterator[JsonObject]:
        """What has to go back with a call, in an item of its own."""
        item = AnsweredSignature(self._frame, len(self._output), signature_item(call_id, extra))
        yield from self._begin(item)
        yield from self._numbered(item.done("completed"))

    def _legacy_call(self, message: JsonObject) -> Iterator[JsonObject]:
        """The call of the form before tools, which a model should not make."""
        if not self._calls and not self._hidden:
            for index, call in enumerate(calls_of(message)):
                yield from self._call({**call, "index": index})

    def _message(self) -> AnsweredMessage:
        return AnsweredMessage(self._frame, len(self._output), self._passages)

    def _give_likelihoods(self) -> None:
        """Give the message that ends those of tokens after its last text."""
        if isinstance(self._open, AnsweredMessage):
            self._open.likelihoods(self._likelihoods)
            self._likelihoods = []

    def _begin(self, item: AnsweredItem) -> Iterator[JsonObject]:
        if self._open is not None and not self._open.is_done:
            self._give_likelihoods()
            yield from self._numbered(self._open.done("completed"))
        self._open = item if isinstance(item, AnsweredMessage | AnsweredThoughts) else None
        self._output.append(item)
        yield from self._numbered(item.begun())

    def _numbered(self, events: Iterator[JsonObject]) -> Iterator[JsonObject]:
        for event in events:
            kind = event.pop("type")
            yield self._event(kind, **event)

    def _event(self, kind: str, **fields: Any) -> JsonObject:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event


def _thought(delta: JsonObject) -> JsonObject:
    return {name: delta[name] for name in FIELDS if delta.get(name)}
