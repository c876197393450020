"""What is kept of a response: the response itself, and the items it was asked with. Pure."""

import json
from collections.abc import Sequence

from sluice.api.responses.answer import item_id
from sluice.api.responses.refusal import refused
from sluice.chat import JsonObject
from sluice.conversations.conversation import pack_object
from sluice.conversations.threads import MOST_BYTES
from sluice.errors import InvalidRequestError

# What compresses to no less than that is not tried: most of it are images.
_MOST_RAW_BYTES = 4 * 1024 * 1024
# What is asked is kept twice, as messages and as items, and the answer needs room as well.
_MOST_ASKED_BYTES = MOST_BYTES * 2 // 5


def is_keepable(items: Sequence[JsonObject]) -> bool:
    """Whether so much may be asked of a response that is to be kept."""
    if len(json.dumps(items)) > _MOST_RAW_BYTES:
        return False
    return len(pack_object({"input": list(items)})) <= _MOST_ASKED_BYTES


def too_large_to_keep() -> InvalidRequestError:
    """The error for a response that is to be kept, and is asked too much."""
    return refused("store", "what is asked is too large for the response to be kept; leave `store` out, or false.")


def with_ids(items: Sequence[JsonObject], response_id: str) -> list[JsonObject]:
    """The items that a response is asked with, each with an id, as they are listed."""
    shown = []
    for index, item in enumerate(items):
        kind = item.get("type") or "message"
        own = {"id": None, "type": kind, **item}
        if not isinstance(own["id"], str) or not own["id"]:
            own["id"] = item_id(response_id, kind, f"in{index}")
        if isinstance(own.get("content"), str):
            part = "output_text" if own.get("role") == "assistant" else "input_text"
            own["content"] = [{"type": part, "text": own["content"]}]
        if kind != "reasoning":
            own.setdefault("status", "completed")
        shown.append(own)
    return shown
