"""Makes messages and streams of answers that are to be JSON what was asked for; both come out alike."""

from collections.abc import Iterator
from typing import Any

from sluice.chat import ChatChunk, JsonObject, ResponseFormat
from sluice.chat_stream import ENDS
from sluice.guards.json_reader import JsonReader, Parted, read_json, read_unfinished
from sluice.guards.structured_output import InvalidJsonAnswerError, asks_for_json
from sluice.loading.dataclass import dataclass

_CUT = frozenset(("length", "content_filter"))
# With one of these, a message says something else than JSON.
_OTHER_ANSWERS = ("tool_calls", "function_call", "refusal")


def structured_message(
    message: JsonObject, finish_reason: object, response_format: ResponseFormat | None
) -> JsonObject:
    """A message whose content is the JSON that was asked for, its thought in `reasoning_content`.

    What was cut off, refused, or calls tools is left as it came. Raises InvalidJsonAnswerError.
    """
    if not asks_for_json(response_format):
        return message
    text = _text(message.get("content"))
    if finish_reason in _CUT or any(message.get(name) for name in _OTHER_ANSWERS):
        parted = read_unfinished(text)
    elif text.strip():
        parted = read_json(text, response_format)
    else:
        raise InvalidJsonAnswerError(("$: there is no answer",))
    return message if parted == Parted(text) else _with(message, parted)


@dataclass(slots=True)
class _Choice:
    reader: JsonReader
    has_text: bool = False
    has_other_answer: bool = False
    has_ended: bool = False


class StructuredStream:
    """One answer, chunk by chunk. What comes out spells what `structured_message` makes of the whole.

    `release` and `rest` raise InvalidJsonAnswerError when a choice ends and is not what was asked for.
    """

    def __init__(self, response_format: ResponseFormat | None) -> None:
        self._format = response_format
        self._is_wanted = asks_for_json(response_format)
        self._choices: dict[int, _Choice] = {}
        self._frame: JsonObject = {}

    def release(self, chunk: ChatChunk) -> ChatChunk:
        """The chunk with what can be passed on now."""
        if not self._is_wanted or not chunk.body.get("choices"):
            return chunk
        self._frame = {name: value for name, value in chunk.body.items() if name not in {"choices", "usage"}}
        return ChatChunk({**chunk.body, "choices": [self._choice(choice) for choice in chunk.body["choices"]]})

    def rest(self) -> Iterator[ChatChunk]:
        """What is left of choices that never said they had ended."""
        for index, known in sorted(self._choices.items()):
            if not known.has_ended:
                parted = self._end(known, None)
                if parted != Parted(""):
                    choice = {"index": index, "delta": _with({}, parted), "finish_reason": None}
                    yield ChatChunk({**self._frame, "choices": [choice]})

    def _choice(self, choice: JsonObject) -> JsonObject:
        index, delta = int(choice.get("index") or 0), choice.get("delta") or {}
        known = self._choices.setdefault(index, _Choice(JsonReader(self._format)))
        known.has_other_answer = known.has_other_answer or any(delta.get(name) for name in _OTHER_ANSWERS)
        text = _text(delta.get("content"))
        known.has_text = known.has_text or bool(text.strip())
        parted = known.reader.feed(text) if text else Parted("")
        if choice.get("finish_reason") in ENDS and not known.has_ended:
            end = self._end(known, choice["finish_reason"])
            parted = Parted(parted.content + end.content, parted.thought + end.thought)
        return choice if parted == Parted(text) else {**choice, "delta": _with(delta, parted)}

    def _end(self, known: _Choice, finish_reason: object) -> Parted:
        known.has_ended = True
        if finish_reason in _CUT or known.has_other_answer:
            return known.reader.give_up()
        if not known.has_text:
            raise InvalidJsonAnswerError(("$: there is no answer",))
        return known.reader.finish()


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _with(message: JsonObject, parted: Parted) -> JsonObject:
    changed = {**message, "content": parted.content}
    if parted.thought:
        changed["reasoning_content"] = (message.get("reasoning_content") or "") + parted.thought
    return changed
