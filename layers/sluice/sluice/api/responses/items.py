"""Between items of responses and messages of a chat, both ways. Pure.

A message of an assistant is several items: what it thought, what it said, and each call of a tool. Items that follow
one another become one message again, as far as a chat has room for them in one; what a chat has no room for is refused.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from sluice.api.responses.file_search import ITEM, messages_of_search
from sluice.api.responses.reasoning import signature_of, thoughts_in, thoughts_of
from sluice.api.responses.refusal import invalid, of_type, only, refused, text_in
from sluice.api.sealed import PendingExtras
from sluice.chat import JsonObject

# What clients send back of an item that was answered, and no model is told.
_OF_ANSWERS = frozenset({"type", "id", "status"})
# Not sets: what is looked for may be anything that JSON has.
_ROLES = ("user", "assistant", "system", "developer")
_PLAIN_PARTS = ("input_text", "output_text", "text")
_DETAILS = ("auto", "low", "high", "original")
_PHASES = ("commentary", "final_answer")
# A message that was answered here.
_ANSWERED = re.compile(r"msg_[0-9a-f]{32}_[1-9][0-9]{0,8}_[0-9]{1,6}", re.ASCII)


def messages_of(items: Sequence[JsonObject], place: str = "input") -> list[JsonObject]:
    """The messages of a chat that say what `items` say. Raises InvalidRequestError, which names the item's field.

    References to items have to be resolved before.
    """
    conversation = _Messages()
    for index, item in enumerate(items):
        where = f"{place}[{index}]"
        kind = item.get("type") or "message"
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise refused(f"{where}.type", f"Sluice can't carry items of type {str(kind)[:64]!r}.")
        reader(conversation, item, where)
    return conversation.all()


def items_of(messages: Iterable[JsonObject]) -> list[JsonObject]:
    """The items that say what `messages` of a chat say, without ids."""
    return [item for message in messages for item in _items(message)]


def answer_items(message: JsonObject) -> list[JsonObject]:
    """The items of an assistant's message, without ids: thoughts, what was said, calls and what belongs to them."""
    content, refusal = message.get("content"), message.get("refusal")
    found = [thoughts] if (thoughts := thoughts_of(message)) is not None else []
    parts: list[JsonObject] = []
    if isinstance(content, list):
        parts = [_said_part(part) for part in content]
    elif content:
        parts = [output_text(content)]
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    if parts:
        phase = {"phase": message["phase"]} if message.get("phase") else {}
        found.append({"type": "message", "role": "assistant", "content": parts, **phase})
    for call in message.get("tool_calls") or []:
        found += [signature] if (signature := signature_of(call)) is not None else []
        found.append(call_item(call))
    return found


def output_text(text: str, logprobs: Sequence[JsonObject] = ()) -> JsonObject:
    """A text of an answer."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def call_item(call: JsonObject) -> JsonObject:
    """The item of a tool call."""
    if isinstance(custom := call.get("custom"), dict):
        return {
            "type": "custom_tool_call",
            "call_id": call.get("id") or "",
            "name": custom.get("name") or "",
            "input": custom.get("input") or "",
        }
    function = call.get("function") or {}
    return {
        "type": "function_call",
        "call_id": call.get("id") or "",
        "name": function.get("name") or "",
        "arguments": function.get("arguments") or "",
    }


class _Messages:
    """The messages so far. The last one is open while it is an assistant's, to which more items may belong."""

    def __init__(self) -> None:
        self._messages: list[JsonObject] = []
        self._open: JsonObject | None = None
        self._extras = PendingExtras()

    def all(self) -> list[JsonObject]:
        """The messages, once all items are read."""
        self._close()
        return self._messages

    def add(self, message: JsonObject) -> None:
        """Add a message of somebody else."""
        self._close()
        self._extras.forget()
        self._messages.append(message)

    def sign(self, hidden: JsonObject) -> None:
        """Take what is to go back with calls."""
        self._extras.add(hidden)

    def think(self, thoughts: JsonObject) -> None:
        """Add what the assistant thought: the beginning of a message of its own, or more of the thoughts in it."""
        message = self._open
        if message is None or message.keys() & {"content", "tool_calls", "refusal"} or message.keys() & thoughts.keys():
            message = self._begin()
        message.update(thoughts)

    def say(self, said: JsonObject) -> None:
        """Add what the assistant said."""
        message = self._open
        if message is None or message.keys() & {"content", "refusal"}:
            if message is not None and "tool_calls" in message and _joined(message, said):
                return
            message = self._begin()
        message.update(said)

    def call(self, call: JsonObject) -> None:
        """Add a tool call."""
        message = self._open if self._open is not None else self._begin()
        message.setdefault("tool_calls", []).append(call)
        self._extras.give(call)

    def _begin(self) -> JsonObject:
        self._close()
        self._open = {"role": "assistant"}
        self._messages.append(self._open)
        return self._open

    def _close(self) -> None:
        self._extras.settle((self._open or {}).get("tool_calls") or ())
        self._open = None


def _joined(message: JsonObject, said: JsonObject) -> bool:
    """Whether what is `said` after calls, whose outputs are to come, could be put into their message."""
    before, after = message.get("content"), said.get("content")
    if "refusal" in said or "refusal" in message or message.get("phase") != said.get("phase"):
        return False
    if isinstance(before, str) and isinstance(after, str):
        message["content"] = before + after
    elif isinstance(before, list) and isinstance(after, list):
        message["content"] = [*before, *after]
    else:
        return False
    return True


def _read_message(conversation: _Messages, item: JsonObject, where: str) -> None:
    role = item.get("role")
    if role not in _ROLES:
        only(item, _OF_ANSWERS | {"role", "content"}, where)
        raise invalid(f"{where}.role", f"should be one of {', '.join(_ROLES)}.")
    if role == "assistant":
        conversation.say(_answered(item, where))
    else:
        only(item, _OF_ANSWERS | {"role", "content"}, where)
        conversation.add({"role": role, "content": _content(item.get("content"), f"{where}.content")})


def _answered(item: JsonObject, where: str) -> JsonObject:
    """The fields of an assistant's message. What its provider said beside the text of an answer is not sent back."""
    identity = item.get("id")
    if not isinstance(identity, str) or not _ANSWERED.fullmatch(identity):
        only(item, _OF_ANSWERS | {"role", "content", "phase"}, where)
    said = _said(item.get("content"), f"{where}.content")
    if (phase := item.get("phase")) is not None:
        if phase not in _PHASES:
            raise invalid(f"{where}.phase", f"should be one of {', '.join(_PHASES)}.")
        said["phase"] = phase
    return said


def _read_call(conversation: _Messages, item: JsonObject, where: str) -> None:
    only(item, _OF_ANSWERS | {"call_id", "name", "arguments"}, where)
    function = {"name": text_in(item, "name", where), "arguments": text_in(item, "arguments", where)}
    conversation.call({"id": text_in(item, "call_id", where), "type": "function", "function": function})


def _read_custom_call(conversation: _Messages, item: JsonObject, where: str) -> None:
    only(item, _OF_ANSWERS | {"call_id", "name", "input"}, where)
    custom = {"name": text_in(item, "name", where), "input": text_in(item, "input", where)}
    conversation.call({"id": text_in(item, "call_id", where), "type": "custom", "custom": custom})


def _read_call_output(conversation: _Messages, item: JsonObject, where: str) -> None:
    only(item, _OF_ANSWERS | {"call_id", "output"}, where)
    content = _content(item.get("output"), f"{where}.output")
    conversation.add({"role": "tool", "tool_call_id": text_in(item, "call_id", where), "content": content})


def _read_thoughts(conversation: _Messages, item: JsonObject, where: str) -> None:
    thoughts, hidden = thoughts_in(item, where)
    if thoughts:
        conversation.think(thoughts)
    conversation.sign(hidden)


def _read_search(conversation: _Messages, item: JsonObject, where: str) -> None:
    call, output = messages_of_search(item, where)
    conversation.call(call)
    conversation.add(output)


_READERS: Mapping[str, Callable[[_Messages, JsonObject, str], None]] = {
    "message": _read_message,
    "function_call": _read_call,
    "function_call_output": _read_call_output,
    "custom_tool_call": _read_custom_call,
    "custom_tool_call_output": _read_call_output,
    "reasoning": _read_thoughts,
    ITEM: _read_search,
}


def _content(content: object, where: str) -> str | list[JsonObject]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(where, "should be a text, or a list of parts.")
    return [_part(of_type(part, dict, f"{where}[{index}]"), f"{where}[{index}]") for index, part in enumerate(content)]


def _said(content: object, where: str) -> JsonObject:
    """The fields of an assistant's message that say what is in its `content`."""
    if isinstance(content, str):
        return {"content": content}
    texts: list[str] = []
    refusals: list[str] = []
    for index, part in enumerate(of_type(content, list, where)):
        place = f"{where}[{index}]"
        kind = of_type(part, dict, place).get("type")
        if kind == "refusal":
            only(part, {"type", "refusal"}, place)
            refusals.append(text_in(part, "refusal", place))
        elif kind in _PLAIN_PARTS:
            # Of an answer's text, what it cites and how likely it was are not for a model.
            only(part, {"type", "text", "annotations", "logprobs"}, place)
            texts.append(text_in(part, "text", place))
        else:
            raise refused(f"{place}.type", f"Sluice can't carry parts of type {str(kind)[:64]!r} of an answer.")
    said: JsonObject = {}
    if len(texts) == 1:
        said["content"] = texts[0]
    elif texts or not refusals:
        said["content"] = [{"type": "text", "text": text} for text in texts]
    if refusals:
        said["refusal"] = "".join(refusals)
    return said


def _part(part: JsonObject, where: str) -> JsonObject:
    """A part of what is asked, as a chat has it."""
    kind = part.get("type")
    match kind:
        case "input_text" | "output_text" | "text":
            only(part, {"type", "text", "annotations", "logprobs"}, where)
            return {"type": "text", "text": text_in(part, "text", where)}
        case "input_image":
            return _image(part, where)
        case "input_file":
            return _file(part, where)
        case "input_audio":
            only(part, {"type", "input_audio"}, where)
            return {
                "type": "input_audio",
                "input_audio": of_type(part.get("input_audio"), dict, f"{where}.input_audio"),
            }
        case _:
            raise refused(f"{where}.type", f"Sluice can't carry parts of type {str(kind)[:64]!r}.")


def _image(part: JsonObject, where: str) -> JsonObject:
    if part.get("file_id") is not None:
        raise refused(f"{where}.file_id", "images in files are not given to models; send it as `image_url`.")
    only(part, {"type", "image_url", "detail"}, where)
    image = {"url": text_in(part, "image_url", where)}
    if (detail := part.get("detail")) is not None:
        if detail not in _DETAILS:
            raise invalid(f"{where}.detail", f"should be one of {', '.join(_DETAILS)}.")
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _file(part: JsonObject, where: str) -> JsonObject:
    for name in ("file_id", "file_url"):
        if part.get(name) is not None:
            raise refused(f"{where}.{name}", "models are not given files by this; send its content as `file_data`.")
    only(part, {"type", "file_data", "filename"}, where)
    file = {"file_data": text_in(part, "file_data", where)}
    if part.get("filename") is not None:
        file["filename"] = text_in(part, "filename", where)
    return {"type": "file", "file": file}


def _items(message: JsonObject) -> list[JsonObject]:
    match message.get("role"):
        case "assistant":
            return answer_items(message)
        case "tool":
            output = _asked(message.get("content"))
            return [{"type": "function_call_output", "call_id": message.get("tool_call_id") or "", "output": output}]
        case role:
            return [{"type": "message", "role": role, "content": _asked(message.get("content"))}]


def _asked(content: object) -> str | list[JsonObject]:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return [_asked_part(part) for part in content]


def _asked_part(part: JsonObject) -> JsonObject:
    match part.get("type"):
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            image = part["image_url"]
            return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}
        case "file":
            return {"type": "input_file", **part["file"]}
        case _:
            return dict(part)


def _said_part(part: JsonObject) -> JsonObject:
    return output_text(part["text"]) if part.get("type") == "text" else dict(part)
