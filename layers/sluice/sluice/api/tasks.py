"""Tasks, ready-made prompts: /v1/tasks, and what callers thought of their answers: /v1/feedback."""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.api.chat import ChatCompletionChunk
from sluice.api.labels import naming_headers
from sluice.api.route import Call, EventStream, PathParameter, Reply, Routes
from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.tasks.answer import TaskResult
from sluice.tasks.code import output_schema
from sluice.tasks.fields import object_schema
from sluice.tasks.results import RatedRequest
from sluice.tasks.running import TaskRequest
from sluice.tasks.task import Task as TaskRecord
from sluice.tasks.versions import Traffic
from sluice.tenants.tenant import Role

ROUTES = Routes("Tasks")

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
    changed_by: Annotated[str | None, Field(description="The id of the API key that said so; null if none has.")]
    changed_at: Annotated[int | None, Field(description="Seconds since 1970.")]


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


@ROUTES.get("/v1/tasks", role=Role.CALLER)
def list_tasks(call: Call) -> Tasks:
    """List the tasks."""
    return {"object": "list", "data": [_summary(task) for task in call.app.task_library.shared()]}


@ROUTES.get("/v1/tasks/{name}", role=Role.CALLER, parameters={"name": NAME})
def get_task(call: Call) -> TaskDetails:
    """Show a task as it answers now."""
    tenant, name = call.principal.tenant.id, call.path["name"]
    traffic = call.app.task_library.traffic(tenant, name)
    task = call.app.task_library.find(tenant, name, traffic.active)
    return {**_summary(task), "definition": definition(task), "traffic": shown_traffic(traffic)}


def _check(call: Call[TaskRequest]) -> int:
    asked = call.body.labelled(call.labels)
    if asked.stream:
        raise InvalidRequestError("stream: nobody waits for the answers of a batch; leave it out.", param="stream")
    return call.app.task_runner.check(call.path["name"], asked, call.principal, call.context)


@ROUTES.post(
    "/v1/tasks/{name}",
    role=Role.CALLER,
    parameters={"name": NAME},
    example={"inputs": {"issue_details": "FATAL: sorry, too many clients already"}, "max_tokens": 64},
    events=(ChatCompletionChunk, TaskResult),
    asks_a_model=True,
    check=_check,
)
def run_task(call: Call[TaskRequest]) -> Reply[TaskResult] | EventStream:
    """Run a task.

    `inputs` has to match the task's `input_schema`. With `stream` the answer is server-sent events: chunks as in a
    chat, then the result itself; all come at once, for the answer is judged whole before. `Cache-Control: no-cache`
    asks for a new answer.
    """
    asked = call.body.labelled(call.labels)
    with naming_headers(call.labels):
        result = call.app.task_runner.run(call.path["name"], asked, call.principal, call.context)
    if call.body.stream:
        return EventStream(iter(result.events()), result.provenance)
    return Reply(result.body, result.provenance)


@ROUTES.post(
    "/v1/feedback",
    role=Role.CALLER,
    example={"request_id": "req_0123456789abcdef0123456789abcdef", "score": 4},
    errors={404},
)
def give_feedback(call: Call[Feedback]) -> GivenFeedback:
    """Say what an answer of a task was worth.

    By the API key that asked for it. Said again, it replaces what was said before.
    """
    given = call.body
    request = RatedRequest(call.principal.tenant.id, call.principal.caller_id, given.request_id)
    task, version = call.app.task_results.rate(request, given.score, given.comment)
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
    return {
        "active": traffic.active,
        "other": traffic.other,
        "percent": traffic.percent,
        "changed_by": traffic.changed_by,
        "changed_at": traffic.changed_at,
    }


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
