"""The routes of responses. What they take and answer is imported when one is called: most requests are chats."""

from typing import TYPE_CHECKING

from sluice.api.route import Call, EventStream, PathParameter, Reply, Routes
from sluice.api.sse import StreamFormat
from sluice.errors import InvalidRequestError
from sluice.tenants.tenant import Role

if TYPE_CHECKING:
    from sluice.api.responses.body import (
        DeletedResponse,
        InputItemsQuery,
        InputTokens,
        ReadResponseQuery,
        Response,
        ResponseItems,
        ResponseQuery,
        ResponseQuestion,
        ResponseRequest,
    )

ROUTES = Routes("Responses")

_TYPES = "sluice.api.responses.body"
_ID = {"response_id": PathParameter("The id of a response.", "resp_0123456789abcdef0123456789abcdef_1")}


def _check(call: "Call[ResponseRequest]") -> int:
    from sluice.api.responses.answering import checked

    if call.body.stream:
        raise InvalidRequestError("stream: nobody waits for the answers of a batch; leave it out.", param="stream")
    return checked(call)


def _format() -> StreamFormat:
    from sluice.api.responses.stream_format import ResponseFormat

    return ResponseFormat()


@ROUTES.post(
    "/v1/responses",
    role=Role.CALLER,
    example={"model": "auto", "input": "Why is the sky blue?", "max_output_tokens": 64},
    events=("ResponseEvent",),
    stream_format=_format,
    asks_a_model=True,
    asks_once=True,
    check=_check,
    types_from=_TYPES,
)
def create_response(call: "Call[ResponseRequest]") -> "Reply[Response] | EventStream":
    """Answer as OpenAI's Responses API does.

    Any client of it works with `/v1` as its base URL. What is asked becomes a chat, and fares as one: quota, cache,
    guards, budgets and fallback are the same, and so are the headers of the request and of the answer. `input` is a
    text, or messages, calls of functions and their outputs, reasoning, and references to items. Tools are
    functions, which the caller runs, and `file_search`, by which the model searches the tenant's vector stores.
    What can't be carried to a model is refused by its name. Unless `store` is false the response is kept for 30
    days, for its API key and user alone; `previous_response_id` goes on from it, any number of times.
    `conversation`, or the header `x-sluice-conversation-id`, makes it a turn of a conversation. With `stream` the
    answer is events with names and numbers; an error after the first one is an event `error`, and then
    `response.failed`.
    """
    from sluice.api.responses import answering

    return answering.stream(call) if call.body.stream else answering.complete(call)


@ROUTES.post(
    "/v1/responses/input_tokens",
    role=Role.CALLER,
    example={"model": "auto", "input": "Why is the sky blue?"},
    errors={404},
    types_from=_TYPES,
)
def count_input_tokens(call: "Call[ResponseQuestion]") -> "InputTokens":
    """Estimate the tokens that a response would be asked with.

    No model is asked: it is the estimate that requests are reserved by, which is seldom below what a provider counts,
    and above it by half or so. What it would go on from is counted as well.
    """
    from sluice.api.responses.answering import input_tokens

    return input_tokens(call)


@ROUTES.get("/v1/responses/{response_id}", role=Role.CALLER, parameters=_ID, types_from=_TYPES)
def get_response(call: "Call[None, ReadResponseQuery]") -> "Response":
    """Show a response that is kept.

    Its owner is the API key that it was asked with, and the user whom the request named, if it named one: name it in
    `x-sluice-user` again. A response is not streamed again.
    """
    from sluice.api.responses.reading import response_of

    return response_of(call)


@ROUTES.delete("/v1/responses/{response_id}", role=Role.CALLER, parameters=_ID, types_from=_TYPES)
def delete_response(call: "Call[None, ResponseQuery]") -> "DeletedResponse":
    """Delete a response.

    What went on from it is kept, and can be read; but nothing goes on from that any more.
    """
    from sluice.api.responses.reading import delete

    return delete(call)


@ROUTES.get("/v1/responses/{response_id}/input_items", role=Role.CALLER, parameters=_ID, types_from=_TYPES)
def list_input_items(call: "Call[None, InputItemsQuery]") -> "ResponseItems":
    """List the items that a response was asked with.

    Those of the responses that it goes on from are not among them.
    """
    from sluice.api.responses.reading import items_of_response

    return items_of_response(call)


@ROUTES.post("/v1/responses/{response_id}/cancel", role=Role.CALLER, parameters=_ID, errors={400}, types_from=_TYPES)
def cancel_response(call: Call) -> "Response":
    """Refuse to cancel a response: none is answered in the background, so each has ended when its id can be used.

    Whoever closes the connection of a response that is streamed cancels it.
    """
    from sluice.api.responses.reading import refuse_to_cancel

    return refuse_to_cancel(call)
