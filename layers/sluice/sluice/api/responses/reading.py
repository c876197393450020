"""Responses that are kept, for their owners to read and delete."""

from typing import Any, Never, cast

from sluice.api.listing import listed
from sluice.api.responses.asking import owner_of
from sluice.api.responses.body import (
    DeletedResponse,
    InputItemsQuery,
    ReadResponseQuery,
    Response,
    ResponseItems,
    ResponseQuery,
)
from sluice.api.responses.refusal import refused
from sluice.api.route import Call
from sluice.conversations.thread import ThreadPlace, ThreadTurn
from sluice.errors import InvalidRequestError, NotFoundError


def response_of(call: Call[None, ReadResponseQuery]) -> Response:
    """A response as it was answered. NotFoundError if there is none of the caller's."""
    if call.query.stream == "true":
        raise refused("stream", "a response is streamed while it is answered, and not again.")
    return cast("Response", _read(call).record["response"])


def delete(call: Call[None, ResponseQuery]) -> DeletedResponse:
    """Delete a response. NotFoundError if there is none of the caller's."""
    where = ThreadPlace.parse(call.path["response_id"])
    call.app.threads.delete(owner_of(call), where)
    return {"id": where.response_id, "object": "response", "deleted": True}


def items_of_response(call: Call[None, InputItemsQuery]) -> ResponseItems:
    """A page of the items that a response was asked with. NotFoundError if there is none of the caller's."""
    query = call.query
    items = _read(call).record["input"]
    if query.order == "desc":
        items = items[::-1]
    if query.after is not None:
        places = [index for index, item in enumerate(items) if item["id"] == query.after]
        if not places:
            raise NotFoundError(f"after: the response has no item {query.after!r}.", param="after")
        items = items[places[0] + 1 :]
    shown = items[: query.limit]
    return listed(shown, has_more=len(items) > len(shown))


def refuse_to_cancel(call: Call) -> Never:
    """Say that a response can't be cancelled. NotFoundError if there is none of the caller's."""
    where = _read(call).place
    raise InvalidRequestError(
        f"Only a response that is answered in the background can be cancelled, and {where.response_id} was not: "
        "Sluice answers none so.",
        param="response_id",
    )


def _read(call: Call[Any, Any]) -> ThreadTurn:
    return call.app.threads.read(owner_of(call), ThreadPlace.parse(call.path["response_id"]))
