"""Tenants' own versions of tasks, how requests are split between them, and how each does: /v1/tasks/{name}/..."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, PathParameter, Routes
from sluice.api.tasks import NAME, TaskTraffic, definition, shown_traffic
from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.tasks.answer import TaskComment, TaskVersionResults
from sluice.tasks.task import SHARED_VERSION, TaskFile
from sluice.tasks.versions import Listed, Traffic
from sluice.tenants.tenant import Role

ROUTES = Routes("Tasks")

# Another task than that whose runs are shown: a version that was made of this example should answer none of them.
_NAME = replace(NAME, example="concept_explanation")
_VERSION = PathParameter("`shared`, which comes with Sluice, or the number of one of the tenant's own.", "shared")

type _Version = Annotated[str, Field(pattern=r"^(shared|[1-9][0-9]{0,5})$")]


class NewVersion(BaseModel):
    """The body of POST /v1/tasks/{name}/versions: a task file as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    definition: TaskFile


class Comparison(BaseModel):
    """The body of POST /v1/tasks/{name}/compare: `percent` of the requests go to `other`, the rest to `active`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    active: _Version = SHARED_VERSION
    other: _Version
    percent: Annotated[int, Field(ge=1, le=99)] = 50


class ResultsQuery(BaseModel):
    """The query of GET /v1/tasks/{name}/results: how many days, today's included."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    days: Annotated[int, Field(ge=1, le=31)] = 7


class TaskVersion(TypedDict):
    """A tenant's own version of a task."""

    object: Literal["task.version"]
    version: str
    description: str
    created_at: Annotated[int, Field(description="Seconds since 1970.")]
    created_by: Annotated[str | None, Field(description="The id of the API key that stored it; null of old ones.")]


class TaskVersions(TypedDict):
    """A tenant's own versions of a task, oldest first, and how its requests are split."""

    object: Literal["list"]
    data: list[TaskVersion]
    traffic: TaskTraffic


class TaskVersionDetails(TypedDict):
    """What a version says."""

    object: Literal["task.version"]
    version: str
    definition: JsonObject


class DirectedTraffic(TaskTraffic):
    """How a tenant's requests are split from now on."""

    object: Literal["task.traffic"]
    task: str


class TaskResults(TypedDict):
    """How each version of a task did in the last days, today's included."""

    object: Literal["list"]
    task: str
    days: int
    data: list[TaskVersionResults]
    comments: Annotated[
        list[TaskComment] | None,
        Field(description="Some of what was said in the last 30 days, in no order; null for who is no operator."),
    ]


@ROUTES.post(
    "/v1/tasks/{name}/versions",
    role=Role.OPERATOR,
    parameters={"name": _NAME},
    example={
        "definition": {
            "group": "tutoring",
            "description": "Explains a programming concept in one sentence.",
            "system": "You explain programming concepts. Answer with one sentence.",
            "user": "Explain this:\n{{ concept }}",
            "inputs": {
                "concept": {
                    "type": "string",
                    "description": "What to explain",
                    "required": True,
                    "max_length": 8000,
                }
            },
            "output": {"format": "text"},
        }
    },
    errors={409},
    status=HTTPStatus.CREATED,
)
def store_task_version(call: Call[NewVersion]) -> TaskVersion:
    """Store a version of the tenant's own.

    It answers nobody until it is activated or compared.
    """
    tenant, name = call.principal.tenant.id, call.path["name"]
    return _listed(call.app.task_library.store(tenant, name, call.body.definition, call.actor))


@ROUTES.get("/v1/tasks/{name}/versions", role=Role.CALLER, parameters={"name": _NAME})
def list_task_versions(call: Call) -> TaskVersions:
    """List the tenant's versions."""
    tenant, name = call.principal.tenant.id, call.path["name"]
    listed = call.app.task_library.versions(tenant, name)
    traffic = call.app.task_library.traffic(tenant, name)
    return {"object": "list", "data": [_listed(each) for each in listed], "traffic": shown_traffic(traffic)}


@ROUTES.get("/v1/tasks/{name}/versions/{version}", role=Role.CALLER, parameters={"name": _NAME, "version": _VERSION})
def get_task_version(call: Call) -> TaskVersionDetails:
    """Show what a version says."""
    version = call.path["version"]
    task = call.app.task_library.find(call.principal.tenant.id, call.path["name"], version)
    return {"object": "task.version", "version": version, "definition": definition(task)}


@ROUTES.post(
    "/v1/tasks/{name}/versions/{version}/activate",
    role=Role.OPERATOR,
    parameters={"name": _NAME, "version": _VERSION},
    errors={409},
)
def activate_task_version(call: Call) -> DirectedTraffic:
    """Let a version answer all of the tenant's requests."""
    return _direct(call, Traffic(call.path["version"]))


@ROUTES.post(
    "/v1/tasks/{name}/compare",
    role=Role.OPERATOR,
    parameters={"name": _NAME},
    example={"active": "shared", "other": "1", "percent": 20},
    errors={409},
)
def compare_task_versions(call: Call[Comparison]) -> DirectedTraffic:
    """Split the tenant's requests between two versions."""
    comparison = call.body
    if comparison.active == comparison.other:
        raise InvalidRequestError("other: must be another version than active.", param="other")
    return _direct(call, Traffic(comparison.active, comparison.other, comparison.percent))


@ROUTES.get("/v1/tasks/{name}/results", role=Role.CALLER, parameters={"name": _NAME})
def get_task_results(call: Call[None, ResultsQuery]) -> TaskResults:
    """Show how each version did.

    Comments are for operators.
    """
    sees_comments = call.principal.role.includes(Role.OPERATOR)
    tenant, name, days = call.principal.tenant.id, call.path["name"], call.query.days
    call.app.task_library.find(tenant, name)
    return {
        "object": "list",
        "task": name,
        "days": days,
        "data": call.app.task_results.by_version(tenant, name, days),
        "comments": call.app.task_results.comments(tenant, name) if sees_comments else None,
    }


def _direct[Body](call: Call[Body], traffic: Traffic) -> DirectedTraffic:
    name = call.path["name"]
    directed = call.app.task_library.direct(call.principal.tenant.id, name, traffic, call.actor)
    return {"object": "task.traffic", "task": name, **shown_traffic(directed)}


def _listed(listed: Listed) -> TaskVersion:
    return {
        "object": "task.version",
        "version": listed.version,
        "description": listed.description,
        "created_at": listed.created_at,
        "created_by": listed.created_by,
    }
