"""Between reasoning items and what a message of a chat says of thoughts, both ways. Pure.

A message has its thoughts as a text, `reasoning_content` or `reasoning`, and some have `thinking_blocks`, which their
provider has signed and wants back as they are. An item has the text; whatever else has to come back is in its
`encrypted_content`, which clients return unread. So are the signatures of calls: an item of its own has them, in front
of its call.
"""

from collections.abc import Sequence

from sluice.api.responses.refusal import invalid, of_type, only, refused
from sluice.api.sealed import THOUGHTS, extra_of, is_sealed, opened, sealed, sealed_extra
from sluice.chat import JsonObject

FIELDS = ("reasoning_content", "reasoning", THOUGHTS)
"""Where a message has its thoughts."""

_USUAL, _OTHER, _BLOCKS = FIELDS


def thoughts_of(message: JsonObject) -> JsonObject | None:
    """The reasoning item of an assistant's message, without an id; None if it has no thoughts."""
    texts = [message[name] for name in (_USUAL, _OTHER) if isinstance(message.get(name), str) and message[name]]
    blocks = message.get(_BLOCKS) or None
    if not texts and not blocks:
        return None
    # Some providers say the same twice.
    text = texts[0] if texts else ""
    item: JsonObject = {"type": "reasoning", "summary": []}
    if text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    if blocks:
        item["encrypted_content"] = sealed({_BLOCKS: blocks})
    return item


def signature_of(call: JsonObject) -> JsonObject | None:
    """The item of what has to go back with a call, without an id; None if nothing has to."""
    extra, identity = extra_of(call), call.get("id")
    return None if extra is None or not isinstance(identity, str) else signature_item(identity, extra)


def signature_item(call_id: str, extra: JsonObject) -> JsonObject:
    """The item of what has to go back with a call."""
    return {"type": "reasoning", "summary": [], "encrypted_content": sealed_extra(call_id, extra)}


def summarized(item: JsonObject) -> JsonObject:
    """A reasoning item with its text as the summary that was asked for."""
    texts = [{"type": "summary_text", "text": part["text"]} for part in item.get("content") or []]
    return {**{name: value for name, value in item.items() if name != "content"}, "summary": texts}


def thoughts_in(item: JsonObject, where: str) -> tuple[JsonObject, JsonObject]:
    """What a reasoning item says as fields of a message, none if it says nothing, and all that was sealed in it."""
    only(item, {"type", "id", "status", "summary", "content", "encrypted_content"}, where)
    hidden: JsonObject = {}
    if (given := item.get("encrypted_content")) is not None:
        hidden = _opened(of_type(given, str, f"{where}.encrypted_content"), f"{where}.encrypted_content")
    content = _texts(item.get("content"), f"{where}.content")
    text = "".join(content) or "\n\n".join(_texts(item.get("summary"), f"{where}.summary"))
    found: JsonObject = {_USUAL: text} if text else {}
    return found | ({_BLOCKS: hidden[_BLOCKS]} if _BLOCKS in hidden else {}), hidden


def of_this_turn(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The messages without what was thought before the last question of a user: models take no account of it.

    Source: "Keeping reasoning items in context" of OpenAI's guide to reasoning models.
    """
    last = max((index for index, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    return [
        message if index > last else {name: value for name, value in message.items() if name not in FIELDS}
        for index, message in enumerate(messages)
    ]


def _texts(parts: object, where: str) -> list[str]:
    found = []
    for index, part in enumerate(of_type(parts, list, where) if parts is not None else []):
        text = of_type(part, dict, f"{where}[{index}]").get("text")
        found.append(of_type(text, str, f"{where}[{index}].text"))
    return found


def _opened(text: str, where: str) -> JsonObject:
    if not is_sealed(text):
        raise refused(where, "this was not made by Sluice, and no other model could read it; leave out the item.")
    value = opened(text)
    if value is None:
        raise invalid(where, "should be as it came in an answer.")
    return value
