"""The items of a streamed response while they are answered, and the events that each is. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.api.responses.answer import ResponseFrame, finished
from sluice.api.responses.file_search import ITEM, citations_in
from sluice.api.responses.items import call_item, output_text
from sluice.api.responses.reasoning import FIELDS, summarized, thoughts_of
from sluice.chat import ChatChunk, JsonObject
from sluice.chat_stream import assemble

_THOUGHTS = tuple(name for name in FIELDS if name != "thinking_blocks")


class AnsweredItem:
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


class AnsweredMessage(AnsweredItem):
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

    def likelihoods(self, logprobs: list[JsonObject]) -> None:
        """Take those of tokens that came after the last text, and have none of their own."""
        if self._parts and self._parts[-1]["type"] == "output_text":
            self._logprobs += logprobs

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


class AnsweredThoughts(AnsweredItem):
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


class AnsweredSignature(AnsweredItem):
    """What has to go back with a call."""

    kind = "reasoning"

    def __init__(self, frame: ResponseFrame, index: int, item: JsonObject) -> None:
        super().__init__(frame, index)
        self._signature = item

    def _item(self) -> JsonObject:
        return self._signature

    def _parts_done(self) -> Iterator[JsonObject]:
        yield from ()


class AnsweredCall(AnsweredItem):
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


class AnsweredSearch(AnsweredItem):
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
