"""Tenants' own versions of tasks, how requests are split between them, and how each does: /v1/tasks/{name}/..."""

from http import HTTPStatus
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, PathParameter, Route
from sluice.api.tasks import NAME, TAG, TaskTraffic, definition, shown_traffic
from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.tasks.answer import TaskComment, TaskVersionResults
from sluice.tasks.task import SHARED_VERSION, TaskFile
from sluice.tasks.versions import Listed, Traffic
from sluice.tenants.tenant import Role

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
    comments: Annotated[list[TaskComment], Field(description="Some of what was said in the last 30 days, in no order.")]


def store_version(call: Call[NewVersion]) -> TaskVersion:
    """POST /v1/tasks/{name}/versions."""
    return _listed(call.app.task_library.store(call.principal.tenant.id, call.path["name"], call.body.definition))


def list_versions(call: Call) -> TaskVersions:
    """GET /v1/tasks/{name}/versions."""
    tenant, name = call.principal.tenant.id, call.path["name"]
    listed = call.app.task_library.versions(tenant, name)
    traffic = call.app.task_library.traffic(tenant, name)
    return {"object": "list", "data": [_listed(each) for each in listed], "traffic": shown_traffic(traffic)}


def get_version(call: Call) -> TaskVersionDetails:
    """GET /v1/tasks/{name}/versions/{version}: as it may be sent back to make another."""
    version = call.path["version"]
    task = call.app.task_library.find(call.principal.tenant.id, call.path["name"], version)
    return {"object": "task.version", "version": version, "definition": definition(task)}


def activate_version(call: Call) -> DirectedTraffic:
    """POST /v1/tasks/{name}/versions/{version}/activate."""
    return _direct(call, Traffic(call.path["version"]))


def compare_versions(call: Call[Comparison]) -> DirectedTraffic:
    """POST /v1/tasks/{name}/compare."""
    comparison = call.body
    if comparison.active == comparison.other:
        raise InvalidRequestError("other: must be another version than active.", param="other")
    return _direct(call, Traffic(comparison.active, comparison.other, comparison.percent))


def get_results(call: Call[None, ResultsQuery]) -> TaskResults:
    """GET /v1/tasks/{name}/results."""
    tenant, name, days = call.principal.tenant.id, call.path["name"], call.query.days
    call.app.task_library.find(tenant, name)
    return {
        "object": "list",
        "task": name,
        "days": days,
        "data": call.app.task_results.by_version(tenant, name, days),
        "comments": call.app.task_results.comments(tenant, name),
    }


def _direct[Body](call: Call[Body], traffic: Traffic) -> DirectedTraffic:
    name = call.path["name"]
    call.app.task_library.direct(call.principal.tenant.id, name, traffic)
    return {"object": "task.traffic", "task": name, **shown_traffic(traffic)}


def _listed(listed: Listed) -> TaskVersion:
    return {
        "object": "task.version",
        "version": listed.version,
        "description": listed.description,
        "created_at": listed.created_at,
    }


ROUTES = (
    Route(
        id="storeTaskVersion",
        method="POST",
        path="/v1/tasks/{name}/versions",
        tag=TAG,
        summary="Store a version of the tenant's own",
        description="It answers nobody until it is activated or compared.",
        role=Role.CALLER,
        parameters={"name": NAME},
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
        handler=store_version,
    ),
    Route(
        id="listTaskVersions",
        method="GET",
        path="/v1/tasks/{name}/versions",
        tag=TAG,
        summary="List the tenant's versions",
        role=Role.CALLER,
        parameters={"name": NAME},
        answer=TaskVersions,
        handler=list_versions,
    ),
    Route(
        id="getTaskVersion",
        method="GET",
        path="/v1/tasks/{name}/versions/{version}",
        tag=TAG,
        summary="Show what a version says",
        role=Role.CALLER,
        parameters={"name": NAME, "version": _VERSION},
        answer=TaskVersionDetails,
        handler=get_version,
    ),
    Route(
        id="activateTaskVersion",
        method="POST",
        path="/v1/tasks/{name}/versions/{version}/activate",
        tag=TAG,
        summary="Let a version answer all of the tenant's requests",
        role=Role.CALLER,
        parameters={"name": NAME, "version": _VERSION},
        answer=DirectedTraffic,
        handler=activate_version,
    ),
    Route(
        id="compareTaskVersions",
        method="POST",
        path="/v1/tasks/{name}/compare",
        tag=TAG,
        summary="Split the tenant's requests between two versions",
        role=Role.CALLER,
        parameters={"name": NAME},
        body=Comparison,
        example={"active": "shared", "other": "1", "percent": 20},
        answer=DirectedTraffic,
        handler=compare_versions,
    ),
    Route(
        id="getTaskResults",
        method="GET",
        path="/v1/tasks/{name}/results",
        tag=TAG,
        summary="Show how each version did",
        role=Role.CALLER,
        parameters={"name": NAME},
        query=ResultsQuery,
        answer=TaskResults,
        handler=get_results,
    ),
)
