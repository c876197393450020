"""Answers to messages and prompts: in sessions, alone, and several at once."""

import uuid
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sluice.api.compat.genai.prompts import main_input, prompt_type
from sluice.api.compat.genai.sessions import SESSION_PATTERN, User, owner, session_errors
from sluice.api.compat.task_account import TaskAccount, TaskInputs, account, named
from sluice.api.envelope import Error, error_body, to_sluice_error
from sluice.api.route import Call, Reply, Routes
from sluice.chat import AUTO, Count
from sluice.errors import InvalidRequestError
from sluice.gateway.background import RequestThreads
from sluice.tasks.running import TaskRequest, TaskResult
from sluice.tenants.tenant import Role
from sluice.validation.body import invalid_request

ROUTES = Routes("Operations assistant")

_CHAT = "chatbot"
_MOST_BATCHED = 10

type _AnyCall = Call[Any, Any]


class Talk(BaseModel):
    """What chat and custom have in common. Without a `session_id` one is made; `user` is the caller's own user."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    session_id: Annotated[str, Field(pattern=SESSION_PATTERN)] | None = None
    user: User | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] = AUTO
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class GenaiChat(Talk):
    """The body of POST chat."""

    message: str
    context: JsonValue = None


class CustomPrompt(Talk):
    """The body of POST custom: a prompt of one of the types that GET prompts/types lists."""

    prompt: str
    prompt_type: Annotated[str, Field(max_length=64)]


class PromptBatch(BaseModel):
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


@ROUTES.post(
    "/api/v1/genai/chat",
    role=Role.CALLER,
    example={"message": "Why is payments-db red?", "context": {"reason": "replication lag 340 s"}, "max_tokens": 64},
    asks_a_model=True,
)
def genai_chat(call: Call[GenaiChat]) -> Reply[Talked]:
    """Answer a message, in a session.

    Without a `session_id` a session is begun, and the answer names it.
    """
    return _chat(call, call.body, _session(call, call.body))


@ROUTES.post("/api/v1/genai/remediation", role=Role.CALLER, task="remediation", asks_a_model=True)
def genai_remediation(call: Call[TaskInputs]) -> Reply[Remediation]:
    """Say how to repair what is broken."""
    result = _run_task(call, "remediation")
    return Reply({"remediation_steps": result.body["output"], **account(result)}, result.provenance)


@ROUTES.post("/api/v1/genai/analysis", role=Role.CALLER, task="analysis", asks_a_model=True)
def genai_analysis(call: Call[TaskInputs]) -> Reply[Analysis]:
    """Say what data shows."""
    result = _run_task(call, "analysis")
    return Reply({"insights": result.body["output"], **account(result)}, result.provenance)


@ROUTES.post("/api/v1/genai/explanation", role=Role.CALLER, task="explanation", asks_a_model=True)
def genai_explanation(call: Call[TaskInputs]) -> Reply[Explanation]:
    """Explain an issue."""
    result = _run_task(call, "explanation")
    return Reply({"explanation": result.body["output"], **account(result)}, result.provenance)


@ROUTES.post("/api/v1/genai/optimization", role=Role.CALLER, task="optimization", asks_a_model=True)
def genai_optimization(call: Call[TaskInputs]) -> Reply[Optimization]:
    """Recommend what to change."""
    result = _run_task(call, "optimization")
    return Reply({"recommendations": result.body["output"], **account(result)}, result.provenance)


@ROUTES.post("/api/v1/genai/troubleshooting", role=Role.CALLER, task="troubleshooting", asks_a_model=True)
def genai_troubleshooting(call: Call[TaskInputs]) -> Reply[Troubleshooting]:
    """Narrow a problem down."""
    result = _run_task(call, "troubleshooting")
    return Reply({"troubleshooting_steps": result.body["output"], **account(result)}, result.provenance)


@ROUTES.post(
    "/api/v1/genai/custom",
    role=Role.CALLER,
    example={"prompt": "FATAL: sorry, too many clients already", "prompt_type": "explanation", "max_tokens": 64},
    asks_a_model=True,
)
def genai_custom(call: Call[CustomPrompt]) -> Reply[Talked]:
    """Answer a prompt of some type, in a session."""
    prompt_type(call.app.task_library, call.body.prompt_type)
    return _custom(call, call.body, _session(call, call.body))


@ROUTES.post(
    "/api/v1/genai/batch",
    role=Role.CALLER,
    example={
        "requests": [
            {"message": "Why is payments-db red?", "max_tokens": 64},
            {"prompt": "FATAL: sorry, too many clients already", "prompt_type": "explanation", "max_tokens": 64},
        ]
    },
    is_counted_inside=True,
)
def genai_batch(call: Call[PromptBatch]) -> list[Talked | Error]:
    """Answer several messages and prompts at once.

    What fails has an error in its place, and the others are answered. All are answered at the same time: of two that
    are of one session, one has a conflict.
    """
    # Each counts as a request of the caller. One that names no session is in none.
    requests = call.body.requests
    with RequestThreads(len(requests), thread_name_prefix="batch") as pool:
        return list(pool.map(partial(_batched, call), range(len(requests)), requests))


def _run_task(call: Call[TaskInputs], task: str) -> TaskResult:
    main = main_input(call.app.task_library.find(call.principal.tenant.id, task)) or ""
    with named(main):
        asked = TaskRequest(inputs=call.body.inputs, user=call.labels.user)
        return call.app.task_runner.run(task, asked, call.principal, call.context)


def _batched(call: _AnyCall, place: int, item: JsonValue) -> Talked | Error:
    own = replace(call, request_id=f"{call.request_id}_{place}")
    try:
        if isinstance(item, dict) and "message" in item:
            asked = _read(item, GenaiChat)
            return _chat(own, asked, asked.session_id and _session(own, asked)).body
        prompt = _read(item, CustomPrompt)
        return _custom(own, prompt, prompt.session_id and _session(own, prompt)).body
    except Exception as error:  # noqa: BLE001 -- the outermost edge of one of several answers
        known = to_sluice_error(error, call.request_id)
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
        user=_user(call, talk),
        model=talk.model,
        max_tokens=talk.max_tokens,
        temperature=talk.temperature,
    )
    result = call.app.task_runner.run(task, request, call.principal, call.context)
    answer: Talked = {"response": result.body["output"], "session_id": session_id, **account(result)}
    return Reply(answer, result.provenance)


def _user(call: _AnyCall, talk: Talk) -> str | None:
    return talk.user if call.labels.user is None else call.labels.user


def _session(call: _AnyCall, talk: Talk) -> str:
    """The session that is named, which has to be there, or a new one."""
    if talk.session_id is None:
        return f"session_{uuid.uuid4().hex}"
    with session_errors(talk.session_id):
        # Before the first turn there is none: only whether it is there is read.
        call.app.conversations.read(owner(call.principal, _user(call, talk)), talk.session_id, before=1, limit=1)
    return talk.session_id


def _read[Model: BaseModel](item: JsonValue, model: type[Model]) -> Model:
    if not isinstance(item, dict):
        raise InvalidRequestError("Each of the requests must be an object.")
    try:
        return model.model_validate(item, strict=True)
    except ValidationError as error:
        raise invalid_request(error, item) from None
