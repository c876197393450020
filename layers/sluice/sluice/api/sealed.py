"""What a provider wants back as it came, in a text that clients of other APIs return unread. Pure.

A message of a chat has room for thoughts that are signed, and for signatures of calls; a response and a message of
Anthropic's have an opaque text for the like (`encrypted_content`, `redacted_thinking`).
"""

import base64
import json
from collections.abc import Sequence

from sluice.chat import JsonObject

THOUGHTS = "thinking_blocks"
"""What a message of a chat calls its thoughts in blocks, which some providers sign."""

CALLS = "tool_calls"
"""Where a sealed text has what belongs to calls of tools, by their ids."""

_EXTRA = "extra_content"
_MARK = "sluice1."


def sealed(value: JsonObject) -> str:
    """`value` as a text that `opened` reads."""
    # Not compressed: what is sent back would then be as much larger as its sender likes.
    plain = json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
    return _MARK + base64.urlsafe_b64encode(plain).decode("ascii")


def is_sealed(text: str) -> bool:
    """Whether a text says of itself that it was made here."""
    return text.startswith(_MARK)


def opened(text: str) -> JsonObject | None:
    """What is in a sealed text; None if it can't be read, or is not what is sealed here."""
    try:
        value = json.loads(base64.b64decode(text.removeprefix(_MARK), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get(THOUGHTS, []), list):
        return None
    extras = value.get(CALLS, {})
    is_known = isinstance(extras, dict) and all(isinstance(extra, dict) for extra in extras.values())
    return value if is_known else None


def extra_of(call: JsonObject) -> JsonObject | None:
    """What of a call, or of a part of it, its provider wants back beside it; None if nothing."""
    extra = call.get(_EXTRA)
    return extra if isinstance(extra, dict) and extra else None


def sealed_extra(call_id: str, extra: JsonObject) -> str:
    """What is to go back with a call, by which it is known again."""
    return sealed({CALLS: {call_id: extra}})


class PendingExtras:
    """What was sealed, until the calls are there that it belongs to: those after it, else those before it."""

    def __init__(self) -> None:
        self._extras: JsonObject = {}

    def add(self, found: JsonObject) -> None:
        """Take what an opened text has of calls."""
        self._extras |= found.get(CALLS, {})

    def give(self, call: JsonObject) -> None:
        """Give a call what belongs to it."""
        if (extra := self._extras.pop(call["id"], None)) is not None:
            call[_EXTRA] = extra

    def settle(self, calls: Sequence[JsonObject]) -> None:
        """Give the calls of a message, which is complete, what came after them."""
        for call in calls:
            if _EXTRA not in call:
                self.give(call)

    def forget(self) -> None:
        """Forget what belongs to no call that was there."""
        self._extras = {}
