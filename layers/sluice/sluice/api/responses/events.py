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
    finished,
    shown_logprob,
    usage_of,
)
from sluice.api.responses.file_search import ITEM, NAME, citations_in
from sluice.api.responses.items import call_item, output_text
from sluice.api.responses.reasoning import FIELDS, signature_item, summarized, thoughts_of
from sluice.api.sealed import extra_of
from sluice.chat import ChatChunk, JsonObject
from sluice.chat_stream import assemble

_THOUGHTS = tuple(name for name in FIELDS if name != "thinking_blocks")


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
        self._search: _Search | None = None
        self._nameless: dict[int, list[JsonObject]] = {}
        self._hidden: set[int] = set()
        self._frame = frame
        self._number = 0
        self._chunks: list[ChatChunk] = []
        self._output: list[_Item] = []
        self._open: _Message | _Thoughts | None = None
        self._calls: dict[int, _Call] = {}
        self._late: dict[str, JsonObject] = {}
        self._phase: object = None
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
        if beside and not any(isinstance(item, _Message) for item in self._output[self._first :]):
            yield from self._begin(self._message())
        for item in self._output[self._first :]:
            if isinstance(item, _Message):
                item.stands_beside(beside, cited)
                break
        for call_id, extra in self._late.items():
            yield from self._signature(call_id, extra)
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
        self._search = _Search(self._frame, len(self._output))
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
            if not isinstance(self._open, _Thoughts):
                yield from self._begin(_Thoughts(self._frame, len(self._output)))
            if isinstance(self._open, _Thoughts):
                yield from self._numbered(self._open.add(thought))
        for kind, text in (("output_text", delta.get("content")), ("refusal", delta.get("refusal"))):
            if text:
                if not isinstance(self._open, _Message):
                    yield from self._begin(self._message())
                if isinstance(self._open, _Message):
                    logprobs = (choice.get("logprobs") or {}).get("content") or []
                    self._open.phase = self._phase
                    yield from self._numbered(self._open.add(kind, text, [shown_logprob(each) for each in logprobs]))
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
            call = self._calls[index] = _Call(self._frame, len(self._output), part)
            yield from self._begin(call)
        elif extra is not None:
            self._late[call.call_id] = {**self._late.get(call.call_id, {}), **extra}
        yield from self._numbered(call.add(part))

    def _signature(self, call_id: str, extra: JsonObject) -> Iterator[JsonObject]:
        """What has to go back with a call, in an item of its own."""
        item = _Signature(self._frame, len(self._output), signature_item(call_id, extra))
        yield from self._begin(item)
        yield from self._numbered(item.done("completed"))

    def _legacy_call(self, message: JsonObject) -> Iterator[JsonObject]:
        """The call of the form before tools, which a model should not make."""
        if not self._calls and not self._hidden:
            for index, call in enumerate(calls_of(message)):
                yield from self._call({**call, "index": index})

    def _message(self) -> "_Message":
        return _Message(self._frame, len(self._output), self._passages)

    def _begin(self, item: "_Item") -> Iterator[JsonObject]:
        if self._open is not None and not self._open.is_done:
            yield from self._numbered(self._open.done("completed"))
        self._open = item if isinstance(item, _Message | _Thoughts) else None
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


class _Item:
    """An item of the output while it is answered."""

    kind = ""

    def __init__(self, frame: ResponseFrame, index: int) -> None:
        self.id = frame.item_id(self.kind, index)
        self.index = index
        self.is_done = False
        self.shown: JsonObject = {}

    def begun(self) -> Iterator[JsonObject]:
        """The event that begins it."""
        item = finished(self._item(), self.id, "in_progress")
        yield {"type": "response.output_item.added", "output_index": self.index, "item": item}

    def done(self, status: str) -> Iterator[JsonObject]:
        """The events that end it."""
        yield from self._parts_done()
        self.is_done = True
        self.shown = finished(self._item(), self.id, status)
        yield {"type": "response.output_item.done", "output_index": self.index, "item": self.shown}

    def _place(self, **more: Any) -> JsonObject:
        return {"item_id": self.id, "output_index": self.index, **more}

    def _item(self) -> JsonObject:
        raise NotImplementedError

    def _parts_done(self) -> Iterator[JsonObject]:
        raise NotImplementedError


class _Message(_Item):
    """What is said: parts of text, or of a refusal."""

    kind = "message"

    def __init__(self, frame: ResponseFrame, index: int, passages: Mapping[str, JsonObject]) -> None:
        super().__init__(frame, index)
        self._passages = passages
        self._parts: list[JsonObject] = []
        self._texts: list[str] = []
        self._logprobs: list[JsonObject] = []
        self.phase: object = None
        self._beside: JsonObject = {}
        self._cited: list[JsonObject] = []

    def add(self, kind: str, text: str, logprobs: list[JsonObject]) -> Iterator[JsonObject]:
        """Add to the text of the last part, or begin another."""
        if not self._parts or self._parts[-1]["type"] != kind:
            yield from self._part_done()
            part = output_text("") if kind == "output_text" else {"type": kind, "refusal": ""}
            self._parts.append(part)
            place = self._place(content_index=len(self._parts) - 1)
            yield {"type": "response.content_part.added", **place, "part": part}
        self._texts.append(text)
        place = self._place(content_index=len(self._parts) - 1, delta=text)
        if kind == "output_text":
            self._logprobs += logprobs
            place["logprobs"] = logprobs
        yield {"type": f"response.{kind}.delta", **place}

    def stands_beside(self, beside: JsonObject, cited: list[JsonObject]) -> None:
        """Take what a provider says of the message beside its text, which is known at the end."""
        self._beside, self._cited = beside, cited
        if self.is_done:
            self.shown = {**self.shown, **beside}

    def _item(self) -> JsonObject:
        phase = {"phase": self.phase} if self.phase else {}
        return {"type": "message", "role": "assistant", "content": list(self._parts), **phase, **self._beside}

    def _part_done(self) -> Iterator[JsonObject]:
        if not self._parts:
            return
        kind = self._parts[-1]["type"]
        if kind == "output_text":
            said: JsonObject = {"text": "".join(self._texts), "logprobs": self._logprobs}
        else:
            said = {"refusal": "".join(self._texts)}
        part = self._parts[-1] = {**self._parts[-1], **said}
        found = citations_in(part["text"], self._passages) if kind == "output_text" else []
        place = self._place(content_index=len(self._parts) - 1)
        cited = self._cited if len(self._parts) == 1 else []
        if kind == "output_text":
            part["annotations"] = [*cited, *found]
        for number, annotation in enumerate(found, len(cited)):
            more = {"annotation_index": number, "annotation": annotation}
            yield {"type": "response.output_text.annotation.added", **place, **more}
        self._texts, self._logprobs = [], []
        yield {"type": f"response.{kind}.done", **place, **said}
        yield {"type": "response.content_part.done", **place, "part": part}

    def _parts_done(self) -> Iterator[JsonObject]:
        yield from self._part_done()


class _Thoughts(_Item):
    """What is thought, shown as a text or as a summary."""

    kind = "reasoning"

    def __init__(self, frame: ResponseFrame, index: int) -> None:
        super().__init__(frame, index)
        self._summarizes = frame.summarizes
        self._deltas: list[ChatChunk] = []
        self._field = ""
        self._text: list[str] = []

    def add(self, thought: JsonObject) -> Iterator[JsonObject]:
        """Add what a delta says of thoughts."""
        self._deltas.append(ChatChunk({"choices": [{"index": 0, "delta": thought}]}))
        name = next((each for each in _THOUGHTS if thought.get(each)), None)
        # Some providers say the same twice in each delta.
        if name is None or (self._field and name != self._field):
            return
        self._field = name
        if not self._text:
            yield self._part("added", "")
        self._text.append(thought[name])
        yield {"type": f"response.{self._named}.delta", **self._place(**self._at, delta=thought[name])}

    @property
    def _named(self) -> str:
        return "reasoning_summary_text" if self._summarizes else "reasoning_text"

    @property
    def _at(self) -> JsonObject:
        return {"summary_index" if self._summarizes else "content_index": 0}

    def _part(self, what: str, text: str) -> JsonObject:
        if self._summarizes:
            kind, part = "reasoning_summary_part", {"type": "summary_text", "text": text}
        else:
            kind, part = "content_part", {"type": "reasoning_text", "text": text}
        return {"type": f"response.{kind}.{what}", **self._place(**self._at, part=part)}

    def _item(self) -> JsonObject:
        message = assemble(self._deltas)["choices"][0]["message"] if self._deltas else {}
        item = thoughts_of(message) or {"type": "reasoning", "summary": []}
        return summarized(item) if self._summarizes else item

    def _parts_done(self) -> Iterator[JsonObject]:
        if self._text:
            text = "".join(self._text)
            yield {"type": f"response.{self._named}.done", **self._place(**self._at, text=text)}
            yield self._part("done", text)


class _Signature(_Item):
    """What has to go back with a call."""

    kind = "reasoning"

    def __init__(self, frame: ResponseFrame, index: int, item: JsonObject) -> None:
        super().__init__(frame, index)
        self._signature = item

    def _item(self) -> JsonObject:
        return self._signature

    def _parts_done(self) -> Iterator[JsonObject]:
        yield from ()


class _Call(_Item):
    """A call of a function, or of a custom tool."""

    def __init__(self, frame: ResponseFrame, index: int, part: JsonObject) -> None:
        self._is_custom = "custom" in part
        self.kind = "custom_tool_call" if self._is_custom else "function_call"
        self._field = "input" if self._is_custom else "arguments"
        super().__init__(frame, index)
        said = part.get("custom" if self._is_custom else "function") or {}
        self._call: JsonObject = {"id": part.get("id"), "name": said.get("name") or ""}
        self._text: list[str] = []

    def add(self, part: JsonObject) -> Iterator[JsonObject]:
        """Add a part of it."""
        said = part.get("custom" if self._is_custom else "function") or {}
        self._call["name"] = self._call["name"] or said.get("name") or ""
        if delta := said.get(self._field):
            self._text.append(delta)
            yield {"type": f"response.{self._events}.delta", **self._place(delta=delta)}

    @property
    def call_id(self) -> str:
        """By what its output will name it."""
        return str(self._call["id"] or "")

    @property
    def _events(self) -> str:
        return "custom_tool_call_input" if self._is_custom else "function_call_arguments"

    def _item(self) -> JsonObject:
        said = {"name": self._call["name"], self._field: "".join(self._text)}
        return call_item({"id": self._call["id"], "custom" if self._is_custom else "function": said})

    def _parts_done(self) -> Iterator[JsonObject]:
        said = {self._field: "".join(self._text)}
        yield {"type": f"response.{self._events}.done", **self._place(name=self._call["name"], **said)}


class _Search(_Item):
    """A search of files."""

    kind = ITEM

    def __init__(self, frame: ResponseFrame, index: int) -> None:
        super().__init__(frame, index)
        self._found: JsonObject = {"queries": [], "results": None}
        self._is_failed = False

    def searching(self) -> Iterator[JsonObject]:
        """The events before anything is found."""
        for what in ("in_progress", "searching"):
            yield {"type": f"response.{ITEM}.{what}", **self._place()}

    def finds(self, queries: list[str], results: list[JsonObject] | None, status: str) -> None:
        """Take what was looked for, and what is shown of what was found."""
        self._found = {"queries": queries, "results": results}
        self._is_failed = status == "failed"

    def _item(self) -> JsonObject:
        return {"type": ITEM, **self._found}

    def _parts_done(self) -> Iterator[JsonObject]:
        # There is no event for a search that failed.
        if not self._is_failed:
            yield {"type": f"response.{ITEM}.completed", **self._place()}


def _thought(delta: JsonObject) -> JsonObject:
    return {name: delta[name] for name in FIELDS if delta.get(name)}
