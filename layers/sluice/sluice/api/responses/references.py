"""References to items of earlier responses, which clients send in place of the items themselves."""

import re
from collections.abc import Callable, Sequence

from sluice.api.responses.refusal import invalid, only, text_in
from sluice.chat import JsonObject
from sluice.conversations.thread import ThreadPlace, ThreadTurn
from sluice.errors import NotFoundError

_ITEM = re.compile(r"[a-z]{1,8}_([0-9a-f]{32}_[1-9][0-9]{0,8})_(?:in)?[0-9]{1,6}", re.ASCII)
_MOST_RESPONSES = 64
_REFERENCE = "item_reference"


def resolved(items: Sequence[JsonObject], read: Callable[[ThreadPlace, str], ThreadTurn]) -> list[JsonObject]:
    """The items with those that others refer to in their place.

    `read` reads a response, or raises NotFoundError. So does this, for an item that is not there.
    """
    responses: dict[str, dict[str, JsonObject]] = {}
    found = []
    for index, item in enumerate(items):
        if not _is_reference(item):
            found.append(item)
            continue
        where = f"input[{index}]"
        only(item, {"type", "id"}, where)
        identity = text_in(item, "id", where)
        response_id = _response_of(identity, where)
        if response_id not in responses:
            if len(responses) >= _MOST_RESPONSES:
                raise invalid(where, f"items of at most {_MOST_RESPONSES} responses can be referred to at once.")
            try:
                record = read(ThreadPlace.parse(response_id, where), where).record
            except NotFoundError:
                raise _no_item(identity, where) from None
            kept = [*record["input"], *record["response"]["output"]]
            responses[response_id] = {each["id"]: each for each in kept}
        if identity not in responses[response_id]:
            raise _no_item(identity, where)
        found.append(responses[response_id][identity])
    return found


def _is_reference(item: JsonObject) -> bool:
    # OpenAI takes one without its type, which has nothing but an id.
    return item.get("type") == _REFERENCE or (item.get("type") is None and item.keys() <= {"type", "id"})


def _response_of(identity: str, where: str) -> str:
    found = _ITEM.fullmatch(identity)
    if not found:
        raise _no_item(identity, where)
    return f"resp_{found[1]}"


def _no_item(identity: str, where: str) -> NotFoundError:
    message = f"{where}: there is no item {identity[:128]!r} of a response of yours that is stored."
    return NotFoundError(message, param=where, code="item_not_found")
