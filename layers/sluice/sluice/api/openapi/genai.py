"""Routes of the function genai."""

from typing import Literal

from pydantic import Field, JsonValue, RootModel

from sluice.api.compat.genai.requests import Batch, CustomPrompt, GenaiChat, PromptCheck, SessionQuery, StatsQuery
from sluice.api.openapi.operation import Operation, PathParameter, Shown
from sluice.api.openapi.problems import Error
from sluice.api.openapi.tasks import TaskQuality
from sluice.api.openapi.usage import DayUse, ModelUse, Use
from sluice.chat import JsonObject
from sluice.tenants.tenant import Role


class TaskAccount(Shown):
    """What an answer took."""

    model: str | None = Field(description="null if no model was asked.")
    tokens_used: int
    response_time: float = Field(description="Seconds.")
    cached: bool
    request_id: str
    quality: TaskQuality


class Talked(TaskAccount):
    """An answer, and the session that it is remembered in."""

    response: JsonValue
    session_id: str | None = Field(description="null in a batch, for what named no session.")


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


class BatchAnswers(RootModel[list[Talked | Error]]):
    """An answer to each of the requests, in their order; an error in the place of one that failed."""


class SessionMessage(Shown):
    """What was said. A prompt of a custom type is shown as it came."""

    role: str
    content: str


class Session(Shown):
    """What was said in a session, the latest turns of it. Times are in seconds since 1970."""

    session_id: str
    messages: list[SessionMessage]
    turns: int
    has_more: bool = Field(description="Whether there are earlier messages, which are not shown.")
    created_at: int
    expires_at: int


class DeletedSession(Shown):
    """A session that is gone."""

    session_id: str
    deleted: Literal[True]


class PromptType(Shown):
    """A task that one text is enough for; `prompt_is` names the input that the prompt becomes."""

    prompt_type: str
    description: str
    prompt_is: str
    output_format: Literal["text", "json"]
    input_schema: JsonObject


class PromptTypes(Shown):
    """The types of prompts."""

    object: Literal["list"]
    data: list[PromptType]


class PromptNote(Shown):
    """Something about a prompt."""

    message: str
    param: str
    code: str


class CheckedPrompt(Shown):
    """What is wrong with a prompt: `errors` keep it from being sent, `warnings` do not."""

    valid: bool
    errors: list[PromptNote]
    warnings: list[PromptNote]


class Stats(Shown):
    """What the caller's tenant used. Days and models without use are left out."""

    object: Literal["stats"]
    from_: str = Field(alias="from", description="The first day, UTC.")
    to: str = Field(description="The last day, UTC.")
    totals: Use
    by_model: list[ModelUse]
    by_day: list[DayUse]


class Healthy(Shown):
    """There is somebody to ask. Nobody was asked."""

    status: Literal["healthy"]


_TAG = "Operations assistant"
_SESSION = {"session_id": PathParameter("The id that an answer named.", "session_0123456789abcdef0123456789abcdef")}

OPERATIONS = (
    Operation(
        id="genaiChat",
        method="POST",
        path="/api/v1/genai/chat",
        tag=_TAG,
        summary="Answer a message, in a session",
        description="Without a `session_id` a session is begun, and the answer names it.",
        role=Role.CALLER,
        body=GenaiChat,
        example={"message": "Why is payments-db red?", "context": {"status": "red", "reason": "replication lag 340 s"}},
        answer=Talked,
        asks_a_model=True,
    ),
    Operation(
        id="genaiRemediation",
        method="POST",
        path="/api/v1/genai/remediation",
        tag=_TAG,
        summary="Say how to repair what is broken",
        role=Role.CALLER,
        task="remediation",
        answer=Remediation,
        asks_a_model=True,
    ),
    Operation(
        id="genaiAnalysis",
        method="POST",
        path="/api/v1/genai/analysis",
        tag=_TAG,
        summary="Say what data shows",
        role=Role.CALLER,
        task="analysis",
        answer=Analysis,
        asks_a_model=True,
    ),
    Operation(
        id="genaiExplanation",
        method="POST",
        path="/api/v1/genai/explanation",
        tag=_TAG,
        summary="Explain an issue",
        role=Role.CALLER,
        task="explanation",
        answer=Explanation,
        asks_a_model=True,
    ),
    Operation(
        id="genaiOptimization",
        method="POST",
        path="/api/v1/genai/optimization",
        tag=_TAG,
        summary="Recommend what to change",
        role=Role.CALLER,
        task="optimization",
        answer=Optimization,
        asks_a_model=True,
    ),
    Operation(
        id="genaiTroubleshooting",
        method="POST",
        path="/api/v1/genai/troubleshooting",
        tag=_TAG,
        summary="Narrow a problem down",
        role=Role.CALLER,
        task="troubleshooting",
        answer=Troubleshooting,
        asks_a_model=True,
    ),
    Operation(
        id="genaiCustom",
        method="POST",
        path="/api/v1/genai/custom",
        tag=_TAG,
        summary="Answer a prompt of some type, in a session",
        role=Role.CALLER,
        body=CustomPrompt,
        example={"prompt": "FATAL: sorry, too many clients already", "prompt_type": "explanation"},
        answer=Talked,
        asks_a_model=True,
    ),
    Operation(
        id="genaiBatch",
        method="POST",
        path="/api/v1/genai/batch",
        tag=_TAG,
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
        answer=BatchAnswers,
    ),
    Operation(
        id="genaiShowSession",
        method="GET",
        path="/api/v1/genai/context/{session_id}",
        tag=_TAG,
        summary="Show what was said in a session",
        role=Role.CALLER,
        parameters=_SESSION,
        query=SessionQuery,
        answer=Session,
    ),
    Operation(
        id="genaiDeleteSession",
        method="DELETE",
        path="/api/v1/genai/context/{session_id}",
        tag=_TAG,
        summary="Forget a session",
        role=Role.CALLER,
        parameters=_SESSION,
        query=SessionQuery,
        answer=DeletedSession,
    ),
    Operation(
        id="genaiPromptTypes",
        method="GET",
        path="/api/v1/genai/prompts/types",
        tag=_TAG,
        summary="List the types of prompts",
        role=Role.CALLER,
        answer=PromptTypes,
    ),
    Operation(
        id="genaiValidatePrompt",
        method="POST",
        path="/api/v1/genai/prompts/validate",
        tag=_TAG,
        summary="Say what is wrong with a prompt",
        role=Role.CALLER,
        body=PromptCheck,
        example={"prompt": "Explain {{ issue }}.", "variables": {"issue": "too many clients"}},
        answer=CheckedPrompt,
    ),
    Operation(
        id="genaiStats",
        method="GET",
        path="/api/v1/genai/stats",
        tag=_TAG,
        summary="Show what the caller's tenant used",
        role=Role.CALLER,
        query=StatsQuery,
        answer=Stats,
    ),
    Operation(
        id="genaiHealth",
        method="GET",
        path="/api/v1/genai/health",
        tag=_TAG,
        summary="Say whether there is somebody to ask",
        description="For load balancers: without an API key, and without asking a model. 503 if there is nobody.",
        role=None,
        answer=Healthy,
    ),
)
