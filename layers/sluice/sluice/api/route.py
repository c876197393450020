"""Routes: each is declared once, by its handler, and everything that is said or checked of it comes from there.

    ROUTES = Routes("Tenants and keys")

    @ROUTES.post("/v1/tenants", role=Role.ADMIN, example={"id": "school", "name": "The school"}, errors={409})
    def create_tenant(call: Call[NewTenant]) -> Tenant:
        \"\"\"Make a tenant.\"\"\"

The types of body, query and answer are those of the handler, the id is its name, and its docstring is what the API's
description says.
"""

import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from http import HTTPStatus
from importlib import import_module
from types import UnionType
from typing import TYPE_CHECKING, Any, Required, TypedDict, Union, Unpack, get_args, get_origin, get_type_hints
from urllib.parse import unquote

from sluice.api.sse import StreamFormat
from sluice.chat import Labels
from sluice.loading.dataclass import dataclass
from sluice.request_log.trace import RequestTrace
from sluice.tenants.audit import Actor
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


@dataclass(frozen=True, slots=True)
class RawRequest:
    """What a signature is of: the headers, their names in lower case, and the bytes of the body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Call[Body = None, Query = None]:
    """A request to a route, checked as the route declares: who sent it, and what it says.

    `path` holds the path's parameters, decoded. `skips_cache`: the caller wants a new answer; `no_store`:
    none that is kept. `labels` are those of its headers, and count more than those of its body; `accept` is the header
    of that name, in lower case. `idempotency_key` names the request, and the key that it is answered once for.
    `if_match` is the header of that name. An answer may have `most_answer_bytes`. `raw` is there where the route's
    handler checks a signature.
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
    labels: Labels = field(default_factory=Labels)
    accept: str = ""
    trace: RequestTrace = field(default_factory=RequestTrace)
    idempotency_key: str = ""
    if_match: str = ""
    most_answer_bytes: float = math.inf
    raw: "RawRequest | None" = None

    @property
    def principal(self) -> Principal:
        """Who sent the request. Only open routes have requests of nobody, and look at `caller`."""
        if self.caller is None:
            raise RuntimeError("an open route knows no principal")
        return self.caller

    @property
    def actor(self) -> Actor:
        """Who acts, for an audit record."""
        return Actor(self.principal, self.request_id)

    @property
    def context(self) -> "RequestContext":
        """What the gateway has to know of the request beside its body."""
        from sluice.gateway.request import RequestContext

        return RequestContext(
            self.request_id,
            self.deadline,
            skip_cache=self.skips_cache,
            no_store=self.no_store,
            trace=self.trace,
        )


@dataclass(frozen=True)
class Reply[Answer]:
    """An answer with more than its body: where a model gave it, how it came about; and other headers."""

    body: Answer
    provenance: "Provenance | None" = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Csv:
    """An answer as a table, where the caller asks for one."""

    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Html:
    """An answer as a page, where the caller asks for one."""

    text: str


def _nothing() -> None:
    """Close nothing."""


@dataclass(frozen=True)
class Content:
    """An answer that is not JSON: the content of a file."""

    body: bytes
    media_type: str


@dataclass(frozen=True)
class Redirect:
    """Where the answer is: a URL that is good for a while."""

    url: str


@dataclass(frozen=True)
class EventStream:
    """An answer as server-sent events: the JSON of each. Close it, read to its end or not."""

    values: Iterator[Any]
    provenance: "Provenance"
    close: Callable[[], None] = _nothing


@dataclass(frozen=True)
class PathParameter:
    """A part of a path: what it is, and one that exists or might."""

    description: str
    example: str


type Handler = Callable[[Call[Any, Any]], Any]
"""What answers a route: with the body, as JSON has it, with a Reply, with an EventStream, with a Csv or with Html."""

type Check = Callable[[Call[Any, Any]], int]
"""What checks a request without answering it. Raises SluiceError."""


class Declared(TypedDict, total=False):
    """What a handler's own types and words do not say of its route.

    `role` is the least that a key needs, None where no key is needed; a key of `fuller_for`, or of a role that includes
    it, is then told more. `example` is a body. With `task`, the body is the inputs of that task, which its file
    describes; with `is_form` it is a form with a file. `events` are what the events of a streamed answer may hold, and
    `stream_format` makes what writes those of one answer. Where the handler's annotations and `events` are texts, they
    name what is in the module `types_from`, which is imported when it is first needed. With `asks_once` one question
    to a model is all that a request is. `is_counted_inside`: a request is counted as what it asks
    for is, as one that `asks_a_model` is by the gateway. `check` makes the route one that batches may have lines for:
    it refuses what would be refused whatever is left of quotas, and says what the rest is estimated to cost, in
    billionths of a dollar. `is_signed`: the handler gets the bytes, and checks their signature. `takes_work`: models
    are asked later for what it takes. `errors` are statuses beside those that follow from the rest.
    """

    role: Required[Role | None]
    fuller_for: Role
    parameters: Mapping[str, PathParameter]
    example: "JsonObject"
    task: str
    events: tuple[type | str, ...]
    types_from: str
    stream_format: Callable[[], StreamFormat]
    status: HTTPStatus
    asks_a_model: bool
    is_counted_inside: bool
    asks_once: bool
    is_form: bool
    check: "Check"
    takes_work: bool
    is_signed: bool
    errors: Collection[int]


@dataclass(frozen=True, kw_only=True)
class RouteTypes:
    """What a handler takes and answers. `offers_csv`: its answer may be a table, `offers_html`: a page."""

    body: Any
    query: Any
    answer: Any
    events: tuple[type, ...]
    offers_csv: bool
    offers_html: bool


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method of a path, and what answers it. `path` has `{name}` for a part of it, `{name+}` for the rest of it.

    See Declared for the rest. `signature` is the function whose annotations say what is taken and answered.
    """

    id: str
    method: str
    path: str
    role: Role | None
    tag: str
    summary: str
    description: str
    signature: Handler
    handler: Handler
    fuller_for: Role | None = None
    parameters: Mapping[str, PathParameter] = field(default_factory=dict)
    example: "JsonObject | None" = None
    task: str | None = None
    events: tuple[type | str, ...] = ()
    types_from: str = ""
    stream_format: Callable[[], StreamFormat] = StreamFormat
    status: HTTPStatus = HTTPStatus.OK
    asks_a_model: bool = False
    is_counted_inside: bool = False
    asks_once: bool = False
    is_form: bool = False
    check: "Check | None" = None
    takes_work: bool = False
    is_signed: bool = False
    errors: Collection[int] = ()

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

    @cached_property
    def types(self) -> RouteTypes:
        """What its handler takes and answers, imported when it is first needed."""
        if self.types_from:
            named = vars(import_module(self.types_from))
            annotations = get_type_hints(self.signature, localns=named)
        else:
            named, annotations = {}, self.signature.__annotations__
        body, query = get_args(annotations["call"]) or (None, None)
        answer = annotations["return"]
        return RouteTypes(
            body=_model(body),
            query=_model(query),
            answer=_answer(answer),
            events=tuple(named[each] if isinstance(each, str) else each for each in self.events),
            offers_csv=Csv in get_args(answer),
            offers_html=Html in get_args(answer),
        )

    @property
    def body(self) -> Any:
        """The model of its body, None where it takes none."""
        return self.types.body

    @property
    def query(self) -> Any:
        """The model of its query, None where it takes none."""
        return self.types.query

    @property
    def is_counted_at_the_door(self) -> bool:
        """Whether each request counts against its API key's limits before anything else is done for it.

        So do all that callers send, but for what the gateway counts. Operators' own routes are for a few.
        """
        return self.role is Role.CALLER and not self.asks_a_model and not self.is_counted_inside

    @property
    def is_recorded(self) -> bool:
        """Whether the request log has a record of each request to it: of all that ask models, once or several times."""
        return self.asks_a_model or self.is_counted_inside

    @property
    def takes_idempotency_key(self) -> bool:
        """Whether a request to it that has an idempotency key is answered once: all that spend are."""
        return self.method == "POST" and (self.is_recorded or self.takes_work)

    @property
    def takes_anything(self) -> bool:
        """Whether there is anything to say beside its method and path."""
        return bool(self.parameters or self.query or self.body)

    @property
    def error_statuses(self) -> list[int]:
        """Every status of an error that it may answer."""
        found = {*_OF_EVERY_ROUTE, *self.errors}
        if self.role is not None or self.fuller_for is not None:
            found.add(401)
        from sluice.api.features import FEATURE_OF_TAG  # which needs routes itself

        # Of a role that is not enough, or a feature that the tenant has turned off.
        if self.role not in {None, Role.CALLER} or (self.role is not None and self.tag in FEATURE_OF_TAG):
            found.add(403)
        if self.query is not None:
            found.add(400)
        if self.body is not None:
            found |= {400, 413}
        if self.parameters:
            found.add(404)
        if self.takes_idempotency_key:
            found |= {400, 409, 422}
        if self.asks_a_model:
            # A model there is not, one that the tenant may not use, a conversation that is being continued already.
            found |= {403, 404, 409}
        return sorted(found)


class Routes:
    """The routes of one subject, in the order of their declaration."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def get[H: Handler](self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare what the decorated handler answers to GET."""
        return self._declare("GET", path, declared)

    def post[H: Handler](self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare what the decorated handler answers to POST."""
        return self._declare("POST", path, declared)

    def patch[H: Handler](self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare what the decorated handler answers to PATCH."""
        return self._declare("PATCH", path, declared)

    def delete[H: Handler](self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare what the decorated handler answers to DELETE."""
        return self._declare("DELETE", path, declared)

    def _declare[H: Handler](self, method: str, path: str, declared: Declared) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            self._routes.append(_route(method, path, self._tag, handler, declared))
            return handler

        return declare


def _route(method: str, path: str, tag: str, handler: Handler, declared: Declared) -> Route:
    summary, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n\n")
    first, *words = handler.__name__.split("_")
    return Route(
        id=first + "".join(map(str.title, words)),
        method=method,
        path=path,
        tag=tag,
        summary=summary.removesuffix("."),
        description=" ".join(description.split()),
        signature=handler,
        handler=handler,
        **declared,
    )


def _answer(returned: Any) -> Any:
    """The type of the body, which may come as a Reply, or as events or a table instead."""
    if get_origin(returned) in {Union, UnionType}:
        [returned] = (each for each in get_args(returned) if each not in {EventStream, Redirect, Csv, Html})
    return get_args(returned)[0] if get_origin(returned) is Reply else returned


def _model(each: Any) -> Any:
    return None if each is type(None) else each
