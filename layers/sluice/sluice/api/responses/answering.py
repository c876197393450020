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
from sluice.api.responses.file_search import MOST_SEARCHES, RESULTS, FileSearch
from sluice.api.responses.kept import is_keepable, too_large_to_keep, with_ids
from sluice.api.responses.refusal import refused
from sluice.api.responses.request import naming_fields, response_frame, wants_summary
from sluice.api.responses.searching import AskedAnswer, Files, SearchingAnswers, SearchPlan
from sluice.api.route import Call, EventStream, Reply
from sluice.chat import ChatRequest, JsonObject, Message
from sluice.chat_stream import chunks_from_body
from sluice.conversations.thread import NONE, ThreadPlace, ThreadTurn
from sluice.gateway.pipeline import StreamedAnswer
from sluice.storage.time_limit import within
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.choices import check_enabled, disabled_features


def checked(call: Call[ResponseRequest]) -> int:
    """See Gateway.check."""
    with _naming(call):
        asked = asked_of(call)
        if asked.translated.search is not None:
            raise refused(asked.translated.search.place, "batches don't search files; ask for a response itself.")
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
        if answering.search is not None:
            return answering.searched_whole(answering.search)
        answer = call.app.gateway.complete(asked.chat, call.principal, asked.context)
    response = whole_response(answering.frame, answer.body)
    return Reply(cast("Response", answering.kept(response, _said(answer.body))), answer.provenance)


def stream(call: Call[ResponseRequest]) -> EventStream:
    """Answer as the answer arrives."""
    with _naming(call):
        answering = _Answering(call)
        asked = answering.asked
        if answering.search is not None:
            return answering.searched_stream(answering.search)
        streamed = call.app.gateway.stream(asked.chat, call.principal, asked.context)
    return EventStream(answering.events(streamed), streamed.provenance, streamed.chunks.close)


class _Answering:
    """A response that is being answered."""

    def __init__(self, call: Call[ResponseRequest]) -> None:
        self._call = call
        if call.body.previous_response_id:
            check_enabled("conversations", call.principal.tenant)
        self.asked = asked_of(call)
        tool = self.asked.translated.search
        self.search = None if tool is None else _plan(call, self.asked, tool)
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
        yield events.closing(self.kept(events.response(), _said(events.body())))

    def searched_whole(self, plan: SearchPlan) -> Reply[Response]:
        """Answer whole, by a model that may search files."""
        answers = SearchingAnswers(plan, self.asked.chat, self._ask_whole)
        *_, last = self._searched(answers)
        return Reply(cast("Response", last["response"]), answers.provenance)

    def searched_stream(self, plan: SearchPlan) -> EventStream:
        """Answer as the answers arrive, by a model that may search files."""
        answers = SearchingAnswers(plan, self.asked.chat, self._ask_streamed)
        return EventStream(self._searched(answers), answers.provenance, answers.close)

    def _searched(self, answers: SearchingAnswers) -> Iterator[JsonObject]:
        events = ResponseEvents(self.frame, searches=True, passages=answers.passages)
        yield from events.opening()
        yield from answers.events(events)
        yield events.closing(self.kept(events.response(), answers.said))

    def _ask_whole(self, chat: ChatRequest) -> AskedAnswer:
        answer = self._call.app.gateway.complete(chat, self._call.principal, self.asked.context)
        return AskedAnswer(iter(chunks_from_body(answer.body, include_usage=True)), answer.provenance, _nothing)

    def _ask_streamed(self, chat: ChatRequest) -> AskedAnswer:
        streamed = self._call.app.gateway.stream(chat, self._call.principal, self.asked.context)
        return AskedAnswer(streamed.chunks, streamed.provenance, streamed.chunks.close)

    def kept(self, response: JsonObject, said: list[JsonObject]) -> JsonObject:
        """The response, which says whether it is kept. `said` are the messages that its model answered with."""
        if not self.frame.is_stored:
            return response
        is_kept = False
        with within(self._call.deadline.settled_at_s()), best_effort("keeping a response"):
            is_kept = self._call.app.threads.keep(self._turn(response, said), self.asked.ancestors)
        return response if is_kept else {**response, "store": False}

    def _turn(self, response: JsonObject, answered: list[JsonObject]) -> ThreadTurn:
        asked = self.asked
        said = list(asked.chat.messages[asked.translated.instructions :])
        said += [Message.model_validate(message) for message in answered]
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


def _said(body: JsonObject) -> list[JsonObject]:
    """The message of `body`, a `chat.completion` object, if it says something."""
    message = answered_message(body)
    return [] if message is None else [message]


def _plan(call: Call[ResponseRequest], asked: Asked, tool: FileSearch) -> SearchPlan:
    """How a response searches files. Raises SluiceError if it can't."""
    if asked.chat.labels.conversation_id:
        reason = "a turn of a conversation has one answer, and can't search; go on with `previous_response_id` instead."
        raise refused(tool.place, reason)
    files = Files(call, tool)
    files.check()
    # Several questions are asked: the record of the request is written after the last.
    call.trace.asks_once = False
    most = MOST_SEARCHES if call.body.max_tool_calls is None else min(MOST_SEARCHES, call.body.max_tool_calls)
    return SearchPlan(files=files, most_searches=most, shows_results=RESULTS in (call.body.include or []))


def _nothing() -> None:
    """Close nothing."""


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
