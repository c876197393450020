"""Routes: each is declared once, and everything that is said or checked of it comes from its declaration."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role

if TYPE_CHECKING:
    from sluice.chat import JsonObject
    from sluice.composition import App
    from sluice.gateway.provenance import Provenance
    from sluice.gateway.request import RequestContext
    from sluice.routing.deadline import Deadline

# API Gateway answers these for any route: throttling, a function that fails, one that takes too long.
_OF_EVERY_ROUTE = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Call[Body = None, Query = None]:
    """A request to a route, checked as the route declares: who sent it, and what it says.

    `path` holds the path's parameters, decoded. `skips_cache`: the caller wants a new answer; `no_store`:
    none that is kept.
    """

    app: "App"
    caller: Principal | None
    path: Mapping[str, str]
    query: Query
    body: Body
    request_id: str
    deadline: "Deadline"
    skips_cache: bool
    no_store: bool = False

    @property
    def principal(self) -> Principal:
        """Who sent the request. Only open routes have requests of nobody, and do not ask."""
        if self.caller is None:
            raise RuntimeError("an open route knows no principal")
        return self.caller

    @property
    def context(self) -> "RequestContext":
        """What the gateway has to know of the request beside its body."""
        from sluice.gateway.request import RequestContext

        return RequestContext(self.request_id, self.deadline, skip_cache=self.skips_cache, no_store=self.no_store)


@dataclass(frozen=True)
class Reply[Answer]:
    """An answer with more than its body: where a model gave it, how it came about; and other headers."""

    body: Answer
    provenance: "Provenance | None" = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _nothing() -> None:
    """Close nothing."""


@dataclass(frozen=True)
class EventStream:
    """An answer as server-sent events: the JSON of each. Close it, read to its end or not, and from one thread."""

    values: Iterator[Any] | Generator[Any]
    provenance: "Provenance"
    close: Callable[[], None] = _nothing


@dataclass(frozen=True)
class PathParameter:
    """A part of a path: what it is, and one that exists or might."""

    description: str
    example: str


@dataclass(frozen=True, kw_only=True)
class Route[Body, Query, Answer]:
    """A method of a path, and what answers it.

    `path` has `{name}` for a part of it, `{name+}` for the rest of it. `role` is the least that a key needs, None where
    no key is needed. With `task`, the body is the inputs of that task, which its file describes. `answer` is what
    `handler` returns: the type of the body, as JSON has it. `events` are what the events of a streamed answer may hold.
    `example` is a body. `errors` are statuses beside those that follow from the rest.
    """

    id: str
    method: str
    path: str
    role: Role | None
    tag: str
    summary: str
    description: str = ""
    parameters: Mapping[str, PathParameter] = field(default_factory=dict)
    query: type[Query] | None = None
    body: type[Body] | None = None
    task: str | None = None
    example: "JsonObject | None" = None
    answer: type[Answer]
    events: tuple[type, ...] = ()
    status: HTTPStatus = HTTPStatus.OK
    asks_a_model: bool = False
    errors: frozenset[int] = frozenset()
    handler: Callable[[Call[Body, Query]], Answer | Reply[Answer] | EventStream]

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters in a path as it was sent, percent-encoded; None if the path is not this route's."""
        wanted, given = self.path.split("/"), path.split("/")
        if self.path.endswith("+}"):
            given = [*given[: len(wanted) - 1], "/".join(given[len(wanted) - 1 :])]
        if len(wanted) != len(given):
            return None
        found = {}
        for name, part in zip(wanted, given, strict=True):
            if name.startswith("{"):
                found[name.strip("{+}")] = unquote(part)
            elif name != part:
                return None
        return found if all(found.values()) else None

    @property
    def takes_anything(self) -> bool:
        """Whether there is anything to say beside its method and path."""
        return bool(self.parameters or self.query or self.body)

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
        if self.body is not None:
            found |= {400, 413}
        if self.parameters:
            found.add(404)
        if self.asks_a_model:
            # A model there is not, one that the tenant may not use, a conversation that is being continued already.
            found |= {403, 404, 409}
        return sorted(found)


type AnyRoute = Route[Any, Any, Any]
"""A route, whatever its body, query and answer are."""
