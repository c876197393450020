"""What the routes under /api/v1/genai do: each is one task, run through the gateway."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, JsonValue, ValidationError

from sluice.api.compat.genai.answers import TaskAnswer, account, named
from sluice.api.compat.genai.prompts import main_input, prompt_type, prompt_types, types_by_name
from sluice.api.compat.genai.requests import (
    MOST_BATCHED,
    Batch,
    CustomPrompt,
    GenaiChat,
    PromptCheck,
    SessionQuery,
    StatsQuery,
    Talk,
    TaskInputs,
)
from sluice.api.compat.genai.validation import PromptReport, check_as_input, fill
from sluice.api.responses import error_body, to_sluice_error
from sluice.chat import JsonObject
from sluice.conversations.archive import ConversationArchive
from sluice.conversations.conversation import ID_PATTERN, Owner, Turn
from sluice.conversations.service import latest_fitting
from sluice.errors import InvalidRequestError, NoProviderError, NotFoundError
from sluice.gateway.request import RequestContext, guard_modes
from sluice.providers.registry import Registry
from sluice.routing.breaker import Breaker
from sluice.tasks.delimiting import without_tags
from sluice.tasks.library import Library
from sluice.tasks.running import Runner, TaskRequest, TaskResult, as_text
from sluice.tasks.task import Task
from sluice.tenants.principal import Principal
from sluice.usage.report import report, usage_sums
from sluice.validation import invalid_request

_CHAT = "chatbot"
# What the answer is called, by task.
_ANSWERS = {
    "remediation": "remediation_steps",
    "analysis": "insights",
    "explanation": "explanation",
    "optimization": "recommendations",
    "troubleshooting": "troubleshooting_steps",
}
_SHOWN_TURNS = 50


class Genai:
    """The routes' work. Threads may share it."""

    def __init__(
        self,
        runner: Runner,
        library: Library,
        archive: ConversationArchive,
        registry: Callable[[], Registry],
        breaker: Breaker,
        *,
        prompt_max_characters: int,
    ) -> None:
        self._runner = runner
        self._library = library
        self._archive = archive
        self._registry = registry
        self._breaker = breaker
        self._prompt_max_characters = prompt_max_characters
        self._pool = ThreadPoolExecutor(MOST_BATCHED, thread_name_prefix="batch")

    def chat(self, request: GenaiChat, principal: Principal, context: RequestContext) -> TaskAnswer:
        """Answer a message, in a session."""
        return self._chat(request, self._session(request, principal), principal, context)

    def custom(self, request: CustomPrompt, principal: Principal, context: RequestContext) -> TaskAnswer:
        """Answer a prompt of some type, in a session."""
        prompt_type(self._library, request.prompt_type)
        return self._custom(request, self._session(request, principal), principal, context)

    def task(self, name: str, request: TaskInputs, principal: Principal, context: RequestContext) -> TaskAnswer:
        """Answer the inputs of a task."""
        main = main_input(self._library.find(principal.tenant.id, name)) or ""
        with named(main):
            result = self._runner.run(name, TaskRequest(inputs=request.inputs), principal, context)
        return TaskAnswer({_ANSWERS[name]: result.body["output"], **account(result)}, result.provenance)

    def batch(self, batch: Batch, principal: Principal, context: RequestContext) -> list[JsonObject]:
        """Answer several prompts and messages at once, in order; what fails has an `error` in its place.

        Each counts as a request of the caller. One that names no session is in none.
        """
        places = range(len(batch.requests))
        return list(
            self._pool.map(lambda place: self._batched(place, batch.requests[place], principal, context), places)
        )

    def session(self, session_id: str, query: SessionQuery, principal: Principal) -> JsonObject:
        """What was said in a session, the latest turns of it; NotFoundError if it is not there or another's."""
        with _session_errors(session_id):
            owner = _owner(principal, query.user)
            found = self._archive.read(owner, session_id, before=None, limit=_SHOWN_TURNS)
        types = types_by_name(self._library)
        turns = latest_fitting([_said(turn, types) for turn in found.turns])
        return {
            "session_id": session_id,
            "messages": [message for turn in turns for message in turn],
            "turns": found.summary.turns,
            "has_more": found.has_more or len(turns) < len(found.turns),
            "created_at": found.summary.created_at,
            "expires_at": found.summary.expires_at,
        }

    def forget_session(self, session_id: str, query: SessionQuery, principal: Principal) -> JsonObject:
        """Delete a session; NotFoundError as for `session`."""
        with _session_errors(session_id):
            self._archive.delete(_owner(principal, query.user), session_id)
        return {"session_id": session_id, "deleted": True}

    def prompt_types(self) -> JsonObject:
        """What POST custom takes."""
        return prompt_types(self._library)

    def validate(self, request: PromptCheck, principal: Principal) -> JsonObject:
        """What is wrong with a prompt."""
        found = PromptReport()
        text: str | None = request.prompt
        if request.prompt_type is None:
            text = fill(request.prompt, request.variables, found)
        elif request.variables:
            found.error("variables: must be left out with a prompt_type; a prompt is sent as it is.", "variables")
        else:
            task, main = prompt_type(self._library, request.prompt_type)
            check_as_input(request.prompt, task, main, found)
        if text is not None:
            found.judge(text, guard_modes(principal.tenant), self._prompt_max_characters)
        return found.shown()

    def stats(self, query: StatsQuery, principal: Principal) -> JsonObject:
        """What the caller's tenant used: a Query a day."""
        last = datetime.now(UTC).date()
        first = last - timedelta(days=query.days - 1)
        sums = usage_sums(principal.tenant.id, first, last)
        return {"object": "stats", "from": first.isoformat(), "to": last.isoformat(), **report(sums)}

    def health(self) -> JsonObject:
        """Whether there is somebody to ask; nobody is asked. NoProviderError if there is not, or not at the moment."""
        enabled = [deployment for deployment in self._registry().deployments if deployment.enabled]
        if not enabled:
            raise NoProviderError("There is no deployment: the credentials secret holds none that is enabled.")
        if all(self._breaker.is_open(deployment.id) for deployment in enabled):
            raise NoProviderError("Every deployment has failed too often lately and is left alone for a minute.")
        return {"status": "healthy"}

    def _session(self, talk: Talk, principal: Principal) -> str:
        if talk.session_id is None:
            return f"session_{uuid.uuid4().hex}"
        with _session_errors(talk.session_id):
            # Before the first turn there is none: only whether it is there is read.
            self._archive.read(_owner(principal, talk.user), talk.session_id, before=1, limit=1)
        return talk.session_id

    def _chat(
        self, request: GenaiChat, session_id: str | None, principal: Principal, context: RequestContext
    ) -> TaskAnswer:
        inputs: dict[str, JsonValue] = {"message": request.message}
        if request.context is not None:
            inputs["context"] = request.context
        with named("message", message="message", context="context"):
            result = self._runner.run(_CHAT, _task_request(request, inputs, session_id), principal, context)
        return _talked(result, session_id)

    def _custom(
        self, request: CustomPrompt, session_id: str | None, principal: Principal, context: RequestContext
    ) -> TaskAnswer:
        task, main = prompt_type(self._library, request.prompt_type)
        with named("prompt", **{main: "prompt"}):
            asked = _task_request(request, {main: request.prompt}, session_id)
            result = self._runner.run(task.name, asked, principal, context)
        return _talked(result, session_id)

    def _batched(self, place: int, item: JsonValue, principal: Principal, context: RequestContext) -> JsonObject:
        own = replace(context, request_id=f"{context.request_id}_{place}")
        is_chat = isinstance(item, dict) and "message" in item
        try:
            if is_chat:
                chat = _read(item, GenaiChat)
                return self._chat(chat, self._named_session(chat, principal), principal, own).body
            prompt = _read(item, CustomPrompt)
            return self._custom(prompt, self._named_session(prompt, principal), principal, own).body
        except Exception as error:  # noqa: BLE001 -- the outermost edge of one of several answers
            known = to_sluice_error(error, own.request_id)
            known.param = f"requests[{place}]" + (f".{known.param}" if known.param else "")
            return dict(error_body(known))

    def _named_session(self, talk: Talk, principal: Principal) -> str | None:
        return None if talk.session_id is None else self._session(talk, principal)


def _said(turn: Turn, types: Mapping[str, tuple[Task, str]]) -> list[JsonObject]:
    """What was said in a turn: by the user what came in, not the prompt that a task made of it."""
    said = [{"role": message.role, "content": without_tags(message.text)} for message in turn.messages]
    if said and turn.made_of is not None and turn.made_of.task in types:
        _, main = types[turn.made_of.task]
        said[0]["content"] = as_text(turn.made_of.inputs.get(main, ""))
    return said


def _read[Model: BaseModel](item: JsonValue, model: type[Model]) -> Model:
    if not isinstance(item, dict):
        raise InvalidRequestError("Each of the requests must be an object.")
    try:
        return model.model_validate(item, strict=True)
    except ValidationError as error:
        raise invalid_request(error, item) from None


def _task_request(talk: Talk, inputs: dict[str, JsonValue], session_id: str | None) -> TaskRequest:
    return TaskRequest(
        inputs=inputs,
        conversation_id=session_id,
        user=talk.user,
        model=talk.model,
        max_tokens=talk.max_tokens,
        temperature=talk.temperature,
    )


def _talked(result: TaskResult, session_id: str | None) -> TaskAnswer:
    body = {"response": result.body["output"], "session_id": session_id, **account(result)}
    return TaskAnswer(body, result.provenance)


def _owner(principal: Principal, user: str | None) -> Owner:
    return Owner(principal.tenant.id, principal.caller_id, user)


@contextmanager
def _session_errors(session_id: str) -> Iterator[None]:
    """Call a conversation a session. What can be no session's id names none."""
    message = f"There is no session {session_id[:128]!r} of yours. Without a session_id, one is begun."
    error = NotFoundError(message, param="session_id", code="session_not_found")
    if not re.fullmatch(ID_PATTERN, session_id):
        raise error
    try:
        yield
    except NotFoundError:
        raise error from None
