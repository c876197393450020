"""Text completions, as OpenAI's older API has them: POST /v1/completions, whole and streamed."""

from typing import TYPE_CHECKING

from sluice.api.labels import naming_headers
from sluice.api.route import Call, EventStream, Reply, Routes
from sluice.tenants.tenant import Role

if TYPE_CHECKING:
    from sluice.api.completions.request_models import CompletionRequest, TextCompletion

ROUTES = Routes("Chat")


@ROUTES.post(
    "/v1/completions",
    role=Role.CALLER,
    example={"model": "auto", "prompt": "Why is the sky blue?", "max_tokens": 64},
    events=("TextCompletion",),
    types_from="sluice.api.completions.request_models",
    asks_a_model=True,
    asks_once=True,
)
def create_completion(call: "Call[CompletionRequest]") -> "Reply[TextCompletion] | EventStream":
    """Complete a text.

    OpenAI's older API, for clients that still speak it. A model is asked in a chat of one message: it answers the
    prompt, and does not go on with it. `prompt` is a text, or a list of one. `echo`, `suffix`, arrays of tokens and a
    `best_of` above `n` are refused. Headers and streams are those of a chat.
    """
    from sluice.api.completions.translation import chat_request, text_chunks, text_completion

    gateway, asked = call.app.gateway, chat_request(call.body).labelled(call.labels)
    with naming_headers(call.labels):
        if asked.stream:
            streamed = gateway.stream(asked, call.principal, call.context)
            return EventStream(text_chunks(streamed.chunks), streamed.provenance, streamed.chunks.close)
        answer = gateway.complete(asked, call.principal, call.context)
    return Reply(text_completion(answer.body), answer.provenance)
