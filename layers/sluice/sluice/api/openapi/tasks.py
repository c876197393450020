"""Routes of the function tasks."""

from http import HTTPStatus
from typing import Literal

from pydantic import Field, JsonValue

from sluice.api.openapi.chat import ChatCompletionChunk
from sluice.api.openapi.operation import Operation, PathParameter, Shown
from sluice.chat import JsonObject
from sluice.routing.intent import Complexity
from sluice.tasks.running import TaskRequest
from sluice.tasks.service import Comparison, Feedback, NewVersion, ResultsQuery
from sluice.tenants.tenant import Role


class TaskOutput(Shown):
    """What a task answers: a text, or JSON that matches `schema`."""

    format: Literal["text", "json"]
    schema_: JsonObject | None = Field(alias="schema")


class TaskExample(Shown):
    """Inputs, and what a good answer to them contains."""

    title: str
    inputs: dict[str, JsonValue]
    contains: list[str]


class Task(Shown):
    """A ready-made prompt. `input_schema` is the JSON Schema of its inputs."""

    object: Literal["task"]
    name: str
    version: str
    group: str
    description: str
    input_schema: JsonObject
    output: TaskOutput
    examples: list[TaskExample]


class Tasks(Shown):
    """The tasks there are."""

    object: Literal["list"]
    data: list[Task]


class TaskTraffic(Shown):
    """Which version answers: `active`, or `other` for `percent` of the requests."""

    active: str
    other: str | None
    percent: int


class TaskDetails(Task):
    """A task as it answers now."""

    definition: JsonObject = Field(description="What its file says, fit to be sent back as another version.")
    traffic: TaskTraffic


class TaskQuality(Shown):
    """How good an answer looks, each part from 0 to 1, computed without a model."""

    score: float
    length_fitness: float
    structure: float
    coverage: float
    response_time: float
    tokens: float


class TaskTokens(Shown):
    """Tokens of all calls that a task took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TaskResult(Shown):
    """What a run of a task came to."""

    object: Literal["task.result"]
    request_id: str = Field(description="What feedback is given with.")
    task: str
    version: str
    output: JsonValue = Field(description="A text, or JSON that matches the task's schema.")
    finish_reason: str | None = Field(description="`stop`, or `length` if the output was cut off.")
    model: str | None = Field(description="null if no model was asked.")
    complexity: Complexity | None
    usage: TaskTokens
    cost_usd: float
    cached: bool
    response_time_ms: int
    quality: TaskQuality
    conversation_id: str | None = None


class TaskVersion(Shown):
    """A tenant's own version of a task."""

    object: Literal["task.version"]
    version: str
    description: str
    created_at: int = Field(description="Seconds since 1970.")


class TaskVersions(Shown):
    """A tenant's own versions of a task, oldest first, and how its requests are split."""

    object: Literal["list"]
    data: list[TaskVersion]
    traffic: TaskTraffic


class TaskVersionDetails(Shown):
    """What a version says."""

    object: Literal["task.version"]
    version: str
    definition: JsonObject


class DirectedTraffic(TaskTraffic):
    """How a tenant's requests are split from now on."""

    object: Literal["task.traffic"]
    task: str


class FeedbackSum(Shown):
    """What was thought of a version's answers, from 1, bad, to 5, good."""

    count: int
    mean_score: float | None


class TaskVersionResults(Shown):
    """How a version did."""

    version: str
    requests: int
    failures: int = Field(description="Those whose answer broke a rule, also when asked again: a 502.")
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    mean_response_time_ms: float | None
    mean_quality: float | None = Field(description="Of all requests; a failure's is 0.")
    feedback: FeedbackSum


class TaskComment(Shown):
    """What somebody said of an answer."""

    request_id: str
    version: str
    score: int
    comment: str


class TaskResults(Shown):
    """How each version of a task did in the last days, today's included."""

    object: Literal["list"]
    task: str
    days: int
    data: list[TaskVersionResults]
    comments: list[TaskComment] = Field(description="Some of what was said in the last 30 days, in no order.")


class GivenFeedback(Shown):
    """Which run the feedback is counted for."""

    object: Literal["feedback"]
    request_id: str
    score: int
    task: str
    version: str


_NAME = PathParameter("The name of a task, as listed.", "explanation")
_VERSION = PathParameter("`shared`, which comes with Sluice, or the number of one of the tenant's own.", "shared")

OPERATIONS = (
    Operation(
        id="listTasks",
        method="GET",
        path="/v1/tasks",
        tag="Tasks",
        summary="List the tasks",
        role=Role.CALLER,
        answer=Tasks,
    ),
    Operation(
        id="getTask",
        method="GET",
        path="/v1/tasks/{name}",
        tag="Tasks",
        summary="Show a task as it answers now",
        role=Role.CALLER,
        parameters={"name": _NAME},
        answer=TaskDetails,
    ),
    Operation(
        id="runTask",
        method="POST",
        path="/v1/tasks/{name}",
        tag="Tasks",
        summary="Run a task",
        description=(
            "`inputs` has to match the task's `input_schema`. With `stream` the answer is server-sent events: chunks "
            "as in a chat, then the result itself; all come at once, for the answer is judged whole before. "
            "`Cache-Control: no-cache` asks for a new answer."
        ),
        role=Role.CALLER,
        parameters={"name": _NAME},
        body=TaskRequest,
        example={"inputs": {"issue_details": "FATAL: sorry, too many clients already"}, "max_tokens": 200},
        answer=TaskResult,
        events=(ChatCompletionChunk, TaskResult),
        asks_a_model=True,
    ),
    Operation(
        id="storeTaskVersion",
        method="POST",
        path="/v1/tasks/{name}/versions",
        tag="Tasks",
        summary="Store a version of the tenant's own",
        description="It answers nobody until it is activated or compared.",
        role=Role.CALLER,
        parameters={"name": _NAME},
        body=NewVersion,
        example={
            "definition": {
                "group": "operations",
                "description": "Explains an alert or an error in one sentence.",
                "system": "You explain alerts and errors. Answer with one sentence.",
                "user": "Explain this:\n{{ issue_details }}",
                "inputs": {
                    "issue_details": {
                        "type": "string",
                        "description": "What to explain",
                        "required": True,
                        "max_length": 8000,
                    }
                },
                "output": {"format": "text"},
            }
        },
        answer=TaskVersion,
        status=HTTPStatus.CREATED,
        errors=frozenset({409}),
    ),
    Operation(
        id="listTaskVersions",
        method="GET",
        path="/v1/tasks/{name}/versions",
        tag="Tasks",
        summary="List the tenant's versions",
        role=Role.CALLER,
        parameters={"name": _NAME},
        answer=TaskVersions,
    ),
    Operation(
        id="getTaskVersion",
        method="GET",
        path="/v1/tasks/{name}/versions/{version}",
        tag="Tasks",
        summary="Show what a version says",
        role=Role.CALLER,
        parameters={"name": _NAME, "version": _VERSION},
        answer=TaskVersionDetails,
    ),
    Operation(
        id="activateTaskVersion",
        method="POST",
        path="/v1/tasks/{name}/versions/{version}/activate",
        tag="Tasks",
        summary="Let a version answer all of the tenant's requests",
        role=Role.CALLER,
        parameters={"name": _NAME, "version": _VERSION},
        answer=DirectedTraffic,
    ),
    Operation(
        id="compareTaskVersions",
        method="POST",
        path="/v1/tasks/{name}/compare",
        tag="Tasks",
        summary="Split the tenant's requests between two versions",
        role=Role.CALLER,
        parameters={"name": _NAME},
        body=Comparison,
        example={"active": "shared", "other": "1", "percent": 20},
        answer=DirectedTraffic,
    ),
    Operation(
        id="getTaskResults",
        method="GET",
        path="/v1/tasks/{name}/results",
        tag="Tasks",
        summary="Show how each version did",
        role=Role.CALLER,
        parameters={"name": _NAME},
        query=ResultsQuery,
        answer=TaskResults,
    ),
    Operation(
        id="giveFeedback",
        method="POST",
        path="/v1/feedback",
        tag="Tasks",
        summary="Say what an answer of a task was worth",
        description="Said again, it replaces what was said before.",
        role=Role.CALLER,
        body=Feedback,
        example={"request_id": "req_0123456789abcdef0123456789abcdef", "score": 4},
        answer=GivenFeedback,
        errors=frozenset({404}),
    ),
)
