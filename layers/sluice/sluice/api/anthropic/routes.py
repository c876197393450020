"""Anthropic's Messages API: POST /v1/messages, whole and streamed, and POST /v1/messages/count_tokens."""

from typing import TYPE_CHECKING, Any

from sluice.api.labels import naming_headers
from sluice.api.route import Call, EventStream, Reply, Routes
from sluice.api.sse import StreamFormat
from sluice.tenants.tenant import Role

if TYPE_CHECKING:
    from sluice.api.anthropic.described import AnswerMessage, MessageRequest, MessageTokenCount, TokenCountRequest

ROUTES = Routes("Messages")

# Each takes tens of milliseconds to import, and functions start without them.
_TYPES = "sluice.api.anthropic.described"
_QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "Why is the sky blue?"}]
_OVERLOADED = 529


def _event_format() -> StreamFormat:
    from sluice.api.anthropic.envelope import MessageEventFormat

    return MessageEventFormat()


@ROUTES.post(
    "/v1/messages",
    role=Role.CALLER,
    example={"model": "auto", "max_tokens": 64, "messages": _QUESTION},
    events=(
        "MessageStart",
        "MessagePing",
        "ContentBlockStart",
        "ContentBlockDelta",
        "ContentBlockStop",
        "MessageDelta",
        "MessageStop",
    ),
    types_from=_TYPES,
    stream_format=_event_format,
    asks_a_model=True,
    asks_once=True,
    errors={_OVERLOADED},
)
def create_message(call: "Call[MessageRequest]") -> "Reply[AnswerMessage] | EventStream":
    """Answer a message.

    Anthropic's API: its clients work with this gateway as their base URL. `model` is a model's name or alias, or
    `auto`. Any model answers; what it can't be asked is refused by its name. Tools are the caller's own: those that
    Anthropic runs are refused. The headers `x-sluice-user`, `x-sluice-task` and `x-sluice-conversation-id`, and
    `Cache-Control`, mean what they mean for a chat; `anthropic-version` and `anthropic-beta` may be sent and mean
    nothing. With `stream` the answer is server-sent events with names; one that fails ends with the event `error`.
    """
    from sluice.api.anthropic.chat_request import chat_request
    from sluice.api.anthropic.envelope import telling_overload
    from sluice.api.anthropic.events import message_events
    from sluice.api.anthropic.message import AskedMessage, message

    body, gateway = call.body, call.app.gateway
    asked = chat_request(body).labelled(call.labels)
    wanted = AskedMessage(
        model=body.model,
        id=call.request_id,
        stop_sequences=tuple(body.stop_sequences or ()),
        manages_context=body.context_management is not None,
    )
    with naming_headers(call.labels), telling_overload():
        if asked.stream:
            streamed = gateway.stream(asked, call.principal, call.context)
            events = message_events(streamed.chunks, wanted)
            return EventStream(events, streamed.provenance, streamed.chunks.close)
        answer = gateway.complete(asked, call.principal, call.context)
    return Reply(message(answer.body, wanted), answer.provenance)


@ROUTES.post(
    "/v1/messages/count_tokens",
    role=Role.CALLER,
    example={"model": "auto", "messages": _QUESTION},
    types_from=_TYPES,
    errors={404},
)
def count_message_tokens(call: "Call[TokenCountRequest]") -> "MessageTokenCount":
    """Estimate the tokens of a message.

    No model is asked: it is the estimate that requests are reserved by, which is seldom below what a provider counts,
    and above it by half or so. `auto` is counted as most models count.
    """
    from sluice.api.anthropic.chat_request import chat_request

    asked = chat_request(call.body).labelled(call.labels)
    return {"input_tokens": call.app.gateway.prompt_tokens(asked, call.principal, call.context)}
