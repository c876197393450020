"""Answers of responses: what is asked becomes a chat, the gateway answers it, and the response is made of that."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from sluice.api.labels import naming_headers
from sluice.api.responses.answer import ResponseFrame, answered_message, whole_response
from sluice.api.responses.asking import Asked, asked_of
from sluice.api.responses.body import InputTokens, Response, ResponseQuestion, ResponseRequest
from sluice.api.responses.events import ResponseEvents
from sluice.api.responses.kept import is_keepable, too_large_to_keep, with_ids
from sluice.api.responses.request import naming_fields, response_frame, wants_summary
from sluice.api.route import Call, EventStream, Reply
from sluice.chat import JsonObject, Message
from sluice.conversations.thread import NONE, ThreadPlace, ThreadTurn
from sluice.gateway.pipeline import StreamedAnswer
from sluice.storage.time_limit import within
from sluice.telemetry import best_effort
from sluice.tenants.choices import check_enabled, disabled_features


def checked(call: Call[ResponseRequest]) -> int:
    """See Gateway.check."""
    with _naming(call):
        asked = asked_of(call)
        return call.app.gateway.check(asked.chat, call.principal, asked.context)


def input_tokens(call: Call[ResponseQuestion]) -> InputTokens:
    """The tokens that a response would be asked with."""
    with _naming(call):
        asked = asked_of(call)
        turn = asked.context.turn
        chat = asked.chat if turn is None else turn.continued(asked.chat)
        tokens = call.app.gateway.prompt_tokens(chat, call.principal, asked.context)
    return {"object": "response.input_tokens", "input_tokens": tokens}


def complete(call: Call[ResponseRequest]) -> Reply[Response]:
    """Answer whole."""
    with _naming(call):
        answering = _Answering(call)
        asked = answering.asked
        answer = call.app.gateway.complete(asked.chat, call.principal, asked.context)
    response = whole_response(answering.frame, answer.body)
    return Reply(cast("Response", answering.kept(response, answer.body)), answer.provenance)


def stream(call: Call[ResponseRequest]) -> EventStream:
    """Answer as the answer arrives."""
    with _naming(call):
        answering = _Answering(call)
        asked = answering.asked
        streamed = call.app.gateway.stream(asked.chat, call.principal, asked.context)
    return EventStream(answering.events(streamed), streamed.provenance, streamed.chunks.close)


class _Answering:
    """A response that is being answered."""

    def __init__(self, call: Call[ResponseRequest]) -> None:
        self._call = call
        if call.body.previous_response_id:
            check_enabled("conversations", call.principal.tenant)
        self.asked = asked_of(call)
        is_stored = _is_to_be_stored(call, self.asked)
        previous = self.asked.previous
        if previous is not None and is_stored:
            self._place = call.app.threads.begin(self.asked.owner, previous)
        else:
            self._place = ThreadPlace.new()
        options = response_frame(call.body)
        conversation = self.asked.chat.labels.conversation_id
        if conversation:
            options["conversation"] = {"id": conversation}
        self.frame = ResponseFrame(
            id=self._place.response_id,
            created_at=int(time.time()),
            model=call.body.model,
            options=options,
            is_stored=is_stored,
            summarizes=wants_summary(call.body),
        )

    def events(self, streamed: StreamedAnswer) -> Iterator[JsonObject]:
        """The events of the response. It is kept before the last of them, after which it may be gone on from."""
        events = ResponseEvents(self.frame)
        yield from events.opening()
        for chunk in streamed.chunks:
            yield from events.chunk(chunk)
        yield from events.items_done()
        yield events.closing(self.kept(events.response(), events.body()))

    def kept(self, response: JsonObject, body: JsonObject) -> JsonObject:
        """The response, which says whether it is kept. `body` is the `chat.completion` that it is made of."""
        if not self.frame.is_stored:
            return response
        is_kept = False
        with within(self._call.deadline.settled_at_s()), best_effort("keeping a response"):
            is_kept = self._call.app.threads.keep(self._turn(response, body), self.asked.ancestors)
        return response if is_kept else {**response, "store": False}

    def _turn(self, response: JsonObject, body: JsonObject) -> ThreadTurn:
        asked, answer = self.asked, answered_message(body)
        said = list(asked.chat.messages[asked.translated.instructions :])
        if answer is not None:
            said.append(Message.model_validate(answer))
        return ThreadTurn(
            owner=asked.owner,
            place=self._place,
            parent=NONE if asked.previous is None else asked.previous.sequence,
            request_id=self._call.request_id,
            created_at=self.frame.created_at,
            expires_at=0,
            messages=tuple(said),
            size=len(json.dumps([message.model_dump(exclude_unset=True) for message in said])),
            record={"response": response, "input": with_ids(asked.translated.input, self.frame.id)},
        )


def _is_to_be_stored(call: Call[ResponseRequest], asked: Asked) -> bool:
    """Whether the response is to be kept. InvalidRequestError if it is, by the caller's words, and can't be."""
    if call.body.store is False or call.no_store:
        return False
    if "conversations" in disabled_features(call.principal.tenant):
        if call.body.store:
            check_enabled("conversations", call.principal.tenant)
        return False
    if is_keepable(asked.translated.input):
        return True
    if call.body.store:
        raise too_large_to_keep()
    return False


@contextmanager
def _naming[Body: ResponseQuestion](call: Call[Body]) -> Iterator[None]:
    with naming_fields(), naming_headers(call.labels):
        yield
