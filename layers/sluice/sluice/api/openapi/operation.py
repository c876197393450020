"""What is said of one route."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict

from sluice.chat import JsonObject
from sluice.tenants.tenant import Role

# API Gateway answers these for any route: throttling, a function that fails, one that takes too long.
_OF_EVERY_ROUTE = frozenset({429, 500, 502, 503, 504})


class Shown(BaseModel):
    """A part of an answer. Only its schema is used: answers are built as plain JSON where they are known."""

    model_config = ConfigDict(defer_build=True)


class ShownUnharmed(BaseModel):
    """A part of an answer that a provider may add to."""

    model_config = ConfigDict(defer_build=True, extra="allow")


@dataclass(frozen=True, slots=True)
class PathParameter:
    """A part of a path: what it is, and one that exists or might."""

    description: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path, as template.yaml has it.

    `role` is the least that a key needs, None where no key is needed. `errors` are statuses beside those that follow
    from the rest. `events` are what the events of a streamed answer may hold. `example` is a body.
    With `task`, the body is the inputs of that task.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    role: Role | None
    parameters: Mapping[str, PathParameter] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    example: JsonObject | None = None
    task: str | None = None
    answer: type[BaseModel]
    events: tuple[type[BaseModel], ...] = ()
    status: HTTPStatus = HTTPStatus.OK
    asks_a_model: bool = False
    errors: frozenset[int] = frozenset()

    @property
    def models(self) -> list[type[BaseModel]]:
        """All models that describe it."""
        return [model for model in (self.query, self.body, self.answer, *self.events) if model is not None]

    @property
    def takes_anything(self) -> bool:
        """Whether there is anything to say beside its method and path."""
        return bool(self.parameters or self.query or self.body or self.task)

    @property
    def error_statuses(self) -> list[int]:
        """Every status of an error that it may answer."""
        found = set(_OF_EVERY_ROUTE | self.errors)
        if self.role is not None:
            found.add(401)
        if self.role in {Role.OPERATOR, Role.ADMIN}:
            found.add(403)
        if self.query is not None:
            found.add(400)
        if self.body is not None or self.task is not None:
            found |= {400, 413}
        if self.parameters:
            found.add(404)
        if self.asks_a_model:
            # A model there is not, one that the tenant may not use, a conversation that is being continued already.
            found |= {403, 404, 409}
        return sorted(found)
