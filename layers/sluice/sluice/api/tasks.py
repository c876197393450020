"""Tasks, ready-made prompts: /v1/tasks, and what callers thought of their answers: /v1/feedback."""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.api.chat import ChatCompletionChunk
from sluice.api.route import Call, EventStream, PathParameter, Reply, Route
from sluice.chat import JsonObject
from sluice.tasks.answer import TaskResult
from sluice.tasks.code import output_schema
from sluice.tasks.fields import object_schema
from sluice.tasks.running import TaskRequest
from sluice.tasks.task import Task as TaskRecord
from sluice.tasks.versions import Traffic
from sluice.tenants.tenant import Role

TAG = "Tasks"
NAME = PathParameter("The name of a task, as listed.", "explanation")


class Feedback(BaseModel):
    """The body of POST /v1/feedback. `score` is from 1, bad, to 5, good."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    score: Annotated[int, Field(ge=1, le=5)]
    comment: Annotated[str, Field(min_length=1, max_length=2000)] | None = None


class TaskOutput(TypedDict):
    """What a task answers: a text, or JSON that matches `schema`."""

    format: Literal["text", "json"]
    schema: JsonObject | None


class TaskExample(TypedDict):
    """Inputs, and what a good answer to them contains."""

    title: str
    inputs: dict[str, JsonValue]
    contains: list[str]


class Task(TypedDict):
    """A ready-made prompt. `input_schema` is the JSON Schema of its inputs."""

    object: Literal["task"]
    name: str
    version: str
    group: str
    description: str
    input_schema: JsonObject
    output: TaskOutput
    examples: list[TaskExample]


class Tasks(TypedDict):
    """The tasks there are."""

    object: Literal["list"]
    data: list[Task]


class TaskTraffic(TypedDict):
    """Which version answers: `active`, or `other` for `percent` of the requests."""

    active: str
    other: str | None
    percent: int


class TaskDetails(Task):
    """A task as it answers now."""

    definition: Annotated[JsonObject, Field(description="What its file says, fit to be sent back as another version.")]
    traffic: TaskTraffic


class GivenFeedback(TypedDict):
    """Which run the feedback is counted for."""

    object: Literal["feedback"]
    request_id: str
    score: int
    task: str
    version: str


def list_tasks(call: Call) -> Tasks:
    """GET /v1/tasks."""
    return {"object": "list", "data": [_summary(task) for task in call.app.task_library.shared()]}


def get_task(call: Call) -> TaskDetails:
    """GET /v1/tasks/{name}."""
    tenant, name = call.principal.tenant.id, call.path["name"]
    traffic = call.app.task_library.traffic(tenant, name)
    task = call.app.task_library.find(tenant, name, traffic.active)
    return {**_summary(task), "definition": definition(task), "traffic": shown_traffic(traffic)}


def run_task(call: Call[TaskRequest]) -> Reply[TaskResult] | EventStream:
    """POST /v1/tasks/{name}. The events of a stream come all at once: the answer is judged whole before."""
    result = call.app.task_runner.run(call.path["name"], call.body, call.principal, call.context)
    if call.body.stream:
        return EventStream(iter(result.events()), result.provenance)
    return Reply(result.body, result.provenance)


def give_feedback(call: Call[Feedback]) -> GivenFeedback:
    """POST /v1/feedback."""
    given = call.body
    task, version = call.app.task_results.rate(call.principal.tenant.id, given.request_id, given.score, given.comment)
    return {
        "object": "feedback",
        "request_id": given.request_id,
        "score": given.score,
        "task": task,
        "version": version,
    }


def definition(task: TaskRecord) -> Any:
    """What a task's file says, as JSON."""
    return task.file.model_dump(mode="json", by_alias=True, exclude_unset=True)


def shown_traffic(traffic: Traffic) -> TaskTraffic:
    """How requests are split, as the API shows it."""
    return {"active": traffic.active, "other": traffic.other, "percent": traffic.percent}


def _summary(task: TaskRecord) -> Task:
    file = task.file
    return {
        "object": "task",
        "name": task.name,
        "version": task.version,
        "group": file.group,
        "description": file.description,
        "input_schema": object_schema(file.inputs),
        "output": {"format": file.output.format, "schema": output_schema(task)},
        "examples": [{"title": each.title, "inputs": each.inputs, "contains": each.contains} for each in file.examples],
    }


ROUTES = (
    Route(
        id="listTasks",
        method="GET",
        path="/v1/tasks",
        tag=TAG,
        summary="List the tasks",
        role=Role.CALLER,
        answer=Tasks,
        handler=list_tasks,
    ),
    Route(
        id="getTask",
        method="GET",
        path="/v1/tasks/{name}",
        tag=TAG,
        summary="Show a task as it answers now",
        role=Role.CALLER,
        parameters={"name": NAME},
        answer=TaskDetails,
        handler=get_task,
    ),
    Route(
        id="runTask",
        method="POST",
        path="/v1/tasks/{name}",
        tag=TAG,
        summary="Run a task",
        description=(
            "`inputs` has to match the task's `input_schema`. With `stream` the answer is server-sent events: chunks "
            "as in a chat, then the result itself; all come at once, for the answer is judged whole before. "
            "`Cache-Control: no-cache` asks for a new answer."
        ),
        role=Role.CALLER,
        parameters={"name": NAME},
        body=TaskRequest,
        example={"inputs": {"issue_details": "FATAL: sorry, too many clients already"}, "max_tokens": 200},
        answer=TaskResult,
        events=(ChatCompletionChunk, TaskResult),
        asks_a_model=True,
        handler=run_task,
    ),
    Route(
        id="giveFeedback",
        method="POST",
        path="/v1/feedback",
        tag=TAG,
        summary="Say what an answer of a task was worth",
        description="Said again, it replaces what was said before.",
        role=Role.CALLER,
        body=Feedback,
        example={"request_id": "req_0123456789abcdef0123456789abcdef", "score": 4},
        answer=GivenFeedback,
        errors=frozenset({404}),
        handler=give_feedback,
    ),
)
