"""What the tasks' routes do: what callers send, and what is shown in answer."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.tasks.code import output_schema
from sluice.tasks.fields import object_schema
from sluice.tasks.library import Library
from sluice.tasks.results import Results
from sluice.tasks.task import SHARED_VERSION, Task, TaskFile
from sluice.tasks.versions import Listed, Traffic
from sluice.tenants.principal import Principal

type _Version = Annotated[str, Field(pattern=r"^(shared|[1-9][0-9]{0,5})$")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NewVersion(_Request):
    """The body of POST /v1/tasks/{name}/versions: a task file as JSON."""

    definition: TaskFile


class Comparison(_Request):
    """The body of POST /v1/tasks/{name}/compare: `percent` of the requests go to `other`, the rest to `active`."""

    active: _Version = SHARED_VERSION
    other: _Version
    percent: Annotated[int, Field(ge=1, le=99)] = 50


class Feedback(_Request):
    """The body of POST /v1/feedback. `score` is from 1, bad, to 5, good."""

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    score: Annotated[int, Field(ge=1, le=5)]
    comment: Annotated[str, Field(min_length=1, max_length=2000)] | None = None


class ResultsQuery(BaseModel):
    """The query of GET /v1/tasks/{name}/results: how many days, today's included."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    days: Annotated[int, Field(ge=1, le=31)] = 7


class TaskService:
    """What the routes do, but for running a task."""

    def __init__(self, library: Library, results: Results) -> None:
        self._library = library
        self._results = results

    def tasks(self) -> JsonObject:
        """All tasks, each with the schema of its inputs."""
        return {"object": "list", "data": [_summary(task) for task in self._library.shared()]}

    def task(self, principal: Principal, name: str) -> JsonObject:
        """One task as it answers now, and how the tenant's requests are split."""
        tenant = principal.tenant.id
        traffic = self._library.traffic(tenant, name)
        task = self._library.find(tenant, name, traffic.active)
        return {**_summary(task), "definition": _definition(task), "traffic": _traffic(traffic)}

    def store(self, principal: Principal, name: str, new: NewVersion) -> JsonObject:
        """Keep a version of the tenant's own. It answers nobody until it is activated or compared."""
        return _listed(self._library.store(principal.tenant.id, name, new.definition))

    def versions(self, principal: Principal, name: str) -> JsonObject:
        """The tenant's versions, and how its requests are split."""
        tenant = principal.tenant.id
        listed = self._library.versions(tenant, name)
        traffic = self._library.traffic(tenant, name)
        return {"object": "list", "data": [_listed(each) for each in listed], "traffic": _traffic(traffic)}

    def version(self, principal: Principal, name: str, version: str) -> JsonObject:
        """What a version says, as it may be sent back to make another."""
        task = self._library.find(principal.tenant.id, name, version)
        return {"object": "task.version", "version": version, "definition": _definition(task)}

    def activate(self, principal: Principal, name: str, version: str) -> JsonObject:
        """Let a version answer all of the tenant's requests."""
        traffic = Traffic(version)
        self._library.direct(principal.tenant.id, name, traffic)
        return {"object": "task.traffic", "task": name, **_traffic(traffic)}

    def compare(self, principal: Principal, name: str, comparison: Comparison) -> JsonObject:
        """Split the tenant's requests between two versions."""
        if comparison.active == comparison.other:
            raise InvalidRequestError("other: must be another version than active.", param="other")
        traffic = Traffic(comparison.active, comparison.other, comparison.percent)
        self._library.direct(principal.tenant.id, name, traffic)
        return {"object": "task.traffic", "task": name, **_traffic(traffic)}

    def results(self, principal: Principal, name: str, query: ResultsQuery) -> JsonObject:
        """How each version did for the tenant."""
        tenant = principal.tenant.id
        self._library.find(tenant, name)
        found = self._results.by_version(tenant, name, query.days)
        comments = self._results.comments(tenant, name)
        return {"object": "list", "task": name, "days": query.days, "data": found, "comments": comments}

    def rate(self, principal: Principal, feedback: Feedback) -> JsonObject:
        """Take what somebody thought of an answer; said again, it replaces what was said before."""
        rated = self._results.rate(principal.tenant.id, feedback.request_id, feedback.score, feedback.comment)
        return {"object": "feedback", "request_id": feedback.request_id, "score": feedback.score, **rated}


def _summary(task: Task) -> JsonObject:
    file = task.file
    return {
        "object": "task",
        "name": task.name,
        "version": task.version,
        "group": file.group,
        "description": file.description,
        "input_schema": object_schema(file.inputs),
        "output": {"format": file.output.format, "schema": output_schema(task)},
        "examples": [example.model_dump() for example in file.examples],
    }


def _definition(task: Task) -> Any:
    return task.file.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _listed(listed: Listed) -> JsonObject:
    return {
        "object": "task.version",
        "version": listed.version,
        "description": listed.description,
        "created_at": listed.created_at,
    }


def _traffic(traffic: Traffic) -> JsonObject:
    return {"active": traffic.active, "other": traffic.other, "percent": traffic.percent}
