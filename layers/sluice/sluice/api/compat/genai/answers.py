"""Answers to messages and prompts: in sessions, alone, and several at once."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sluice.api.compat.genai.prompts import TAG, main_input, prompt_type
from sluice.api.compat.genai.sessions import SESSION_PATTERN, User, owner, session_errors
from sluice.api.compat.task_account import TaskAccount, TaskInputs, account, named
from sluice.api.responses import Error, error_body, to_sluice_error
from sluice.api.route import Call, Reply, Route
from sluice.chat import AUTO
from sluice.errors import InvalidRequestError
from sluice.tasks.running import TaskRequest
from sluice.tenants.tenant import Role
from sluice.validation import invalid_request

_CHAT = "chatbot"
_MOST_BATCHED = 10

type _AnyCall = Call[Any, Any]


class Talk(BaseModel):
    """What chat and custom have in common. Without a `session_id` one is made; `user` is the caller's own user."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    session_id: Annotated[str, Field(pattern=SESSION_PATTERN)] | None = None
    user: User | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] = AUTO
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class GenaiChat(Talk):
    """The body of POST chat."""

    message: str
    context: JsonValue = None


class CustomPrompt(Talk):
    """The body of POST custom: a prompt of one of the types that GET prompts/types lists."""

    prompt: str
    prompt_type: Annotated[str, Field(max_length=64)]


class Batch(BaseModel):
    """The body of POST batch. Each is the body of a custom prompt or of a chat; one that is wrong fails alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    requests: Annotated[list[JsonValue], Field(min_length=1, max_length=_MOST_BATCHED)]


class Talked(TaskAccount):
    """An answer, and the session that it is remembered in."""

    response: JsonValue
    session_id: Annotated[str | None, Field(description="null in a batch, for what named no session.")]


class Remediation(TaskAccount):
    """How to repair what is broken."""

    remediation_steps: JsonValue


class Analysis(TaskAccount):
    """What data shows."""

    insights: JsonValue


class Explanation(TaskAccount):
    """What an issue is about."""

    explanation: JsonValue


class Optimization(TaskAccount):
    """What to change."""

    recommendations: JsonValue


class Troubleshooting(TaskAccount):
    """How to narrow a problem down."""

    troubleshooting_steps: JsonValue


def chat(call: Call[GenaiChat]) -> Reply[Talked]:
    """POST /api/v1/genai/chat."""
    return _chat(call, call.body, _session(call, call.body))


def custom(call: Call[CustomPrompt]) -> Reply[Talked]:
    """POST /api/v1/genai/custom."""
    prompt_type(call.app.task_library, call.body.prompt_type)
    return _custom(call, call.body, _session(call, call.body))


def batch(call: Call[Batch]) -> list[Talked | Error]:
    """POST /api/v1/genai/batch: answers in order; what fails has an `error` in its place.

    Each counts as a request of the caller. One that names no session is in none.
    """
    requests = call.body.requests
    with ThreadPoolExecutor(len(requests), thread_name_prefix="batch") as pool:
        return list(pool.map(partial(_batched, call), range(len(requests)), requests))


def _batched(call: _AnyCall, place: int, item: JsonValue) -> Talked | Error:
    own = replace(call, request_id=f"{call.request_id}_{place}")
    try:
        if isinstance(item, dict) and "message" in item:
            asked = _read(item, GenaiChat)
            return _chat(own, asked, asked.session_id and _session(own, asked)).body
        prompt = _read(item, CustomPrompt)
        return _custom(own, prompt, prompt.session_id and _session(own, prompt)).body
    except Exception as error:  # noqa: BLE001 -- the outermost edge of one of several answers
        known = to_sluice_error(error, own.request_id)
        known.param = f"requests[{place}]" + (f".{known.param}" if known.param else "")
        return error_body(known)


def _chat(call: _AnyCall, asked: GenaiChat, session_id: str | None) -> Reply[Talked]:
    inputs: dict[str, JsonValue] = {"message": asked.message}
    if asked.context is not None:
        inputs["context"] = asked.context
    with named("message", message="message", context="context"):
        return _talk(call, _CHAT, inputs, asked, session_id)


def _custom(call: _AnyCall, asked: CustomPrompt, session_id: str | None) -> Reply[Talked]:
    task, main = prompt_type(call.app.task_library, asked.prompt_type)
    with named("prompt", **{main: "prompt"}):
        return _talk(call, task.name, {main: asked.prompt}, asked, session_id)


def _talk(call: _AnyCall, task: str, inputs: dict[str, JsonValue], talk: Talk, session_id: str | None) -> Reply[Talked]:
    request = TaskRequest(
        inputs=inputs,
        conversation_id=session_id,
        user=talk.user,
        model=talk.model,
        max_tokens=talk.max_tokens,
        temperature=talk.temperature,
    )
    result = call.app.task_runner.run(task, request, call.principal, call.context)
    answer: Talked = {"response": result.body["output"], "session_id": session_id, **account(result)}
    return Reply(answer, result.provenance)


def _session(call: _AnyCall, talk: Talk) -> str:
    """The session that is named, which has to be there, or a new one."""
    if talk.session_id is None:
        return f"session_{uuid.uuid4().hex}"
    with session_errors(talk.session_id):
        # Before the first turn there is none: only whether it is there is read.
        call.app.conversations.read(owner(call.principal, talk.user), talk.session_id, before=1, limit=1)
    return talk.session_id


def _read[Model: BaseModel](item: JsonValue, model: type[Model]) -> Model:
    if not isinstance(item, dict):
        raise InvalidRequestError("Each of the requests must be an object.")
    try:
        return model.model_validate(item, strict=True)
    except ValidationError as error:
        raise invalid_request(error, item) from None


def _task_route[Answer](task: str, summary: str, answer: type[Answer], name: str) -> Route[TaskInputs, None, Answer]:
    """The route of a task, whose output is called `name` in the answer."""

    def run(call: Call[TaskInputs]) -> Reply[Answer]:
        main = main_input(call.app.task_library.find(call.principal.tenant.id, task)) or ""
        with named(main):
            asked = TaskRequest(inputs=call.body.inputs)
            result = call.app.task_runner.run(task, asked, call.principal, call.context)
        return Reply(cast("Answer", {name: result.body["output"], **account(result)}), result.provenance)

    return Route(
        id=f"genai{task.title()}",
        method="POST",
        path=f"/api/v1/genai/{task}",
        tag=TAG,
        summary=summary,
        role=Role.CALLER,
        body=TaskInputs,
        task=task,
        answer=answer,
        asks_a_model=True,
        handler=run,
    )


ROUTES = (
    Route(
        id="genaiChat",
        method="POST",
        path="/api/v1/genai/chat",
        tag=TAG,
        summary="Answer a message, in a session",
        description="Without a `session_id` a session is begun, and the answer names it.",
        role=Role.CALLER,
        body=GenaiChat,
        example={"message": "Why is payments-db red?", "context": {"status": "red", "reason": "replication lag 340 s"}},
        answer=Talked,
        asks_a_model=True,
        handler=chat,
    ),
    _task_route("remediation", "Say how to repair what is broken", Remediation, "remediation_steps"),
    _task_route("analysis", "Say what data shows", Analysis, "insights"),
    _task_route("explanation", "Explain an issue", Explanation, "explanation"),
    _task_route("optimization", "Recommend what to change", Optimization, "recommendations"),
    _task_route("troubleshooting", "Narrow a problem down", Troubleshooting, "troubleshooting_steps"),
    Route(
        id="genaiCustom",
        method="POST",
        path="/api/v1/genai/custom",
        tag=TAG,
        summary="Answer a prompt of some type, in a session",
        role=Role.CALLER,
        body=CustomPrompt,
        example={"prompt": "FATAL: sorry, too many clients already", "prompt_type": "explanation"},
        answer=Talked,
        asks_a_model=True,
        handler=custom,
    ),
    Route(
        id="genaiBatch",
        method="POST",
        path="/api/v1/genai/batch",
        tag=TAG,
        summary="Answer several messages and prompts at once",
        description=(
            "What fails has an error in its place, and the others are answered. All are answered at the same time: of "
            "two that are of one session, one has a conflict."
        ),
        role=Role.CALLER,
        body=Batch,
        example={
            "requests": [
                {"message": "Why is payments-db red?"},
                {"prompt": "FATAL: sorry, too many clients already", "prompt_type": "explanation"},
            ]
        },
        answer=list[Talked | Error],
        handler=batch,
    ),
)
