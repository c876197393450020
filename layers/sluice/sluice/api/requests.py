"""How requests were answered, for managers and operators of their tenant: /v1/requests."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sluice.api.route import Call, PathParameter, Routes
from sluice.catalog.money import to_usd
from sluice.errors import InvalidRequestError, NotFoundError
from sluice.request_log.reader import Wanted
from sluice.request_log.record import Attempted, GuardModelUse, Judgement, RequestOutcome, RequestRecord
from sluice.request_log.request_id import began_ms, is_request_id
from sluice.request_log.schema import KEPT_S
from sluice.request_log.why import Cause, cause_of, why
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import tenants

ROUTES = Routes("Operations")

# Each tenant's requests are as many Queries as there are shards.
_MOST_TENANTS = 25
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _moment(text: object) -> object:
    # Pydantic would take a number for the seconds since 1970, and a time without a zone for one in any.
    if not isinstance(text, str):
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or (found.tzinfo is None and not _DAY.fullmatch(text)):
        raise ValueError("Input should be a day, 2026-11-26, or a time with its zone, 2026-11-26T09:30:00Z")
    return date.fromisoformat(text) if _DAY.fullmatch(text) else found


type _Moment = Annotated[datetime | date, BeforeValidator(_moment)]
type _Name = Annotated[str, Field(min_length=1, max_length=256)]


class RequestsQuery(BaseModel):
    """The query of GET /v1/requests. `from` and `to` are included, a day wholly. `tenant` is for admins."""

    # What is misspelt must not silently be left out.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    key: _Name | None = None
    user: Annotated[str, Field(max_length=128)] | None = None
    model: _Name | None = None
    outcome: RequestOutcome | None = None
    first: _Moment | None = Field(default=None, alias="from")
    last: _Moment | None = Field(default=None, alias="to")
    page: Annotated[str, Field(max_length=64)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class RequestQuery(BaseModel):
    """The query of GET /v1/requests/{id}. `tenant` is for admins, who are told of all tenants' without it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: Annotated[str, Field(min_length=1, max_length=63)] | None = None


class LoggedAttempt(TypedDict):
    """A deployment that was considered."""

    deployment: str
    result: Annotated[str, Field(description="`answered`, what its provider failed with, or why it was not called.")]
    status: Annotated[int | None, Field(description="The provider's HTTP status, if it was an error.")]
    time_ms: Annotated[int | None, Field(description="How long the call took, null if there was none.")]


class LoggedGuardModel(TypedDict):
    """A guard model that was asked about the prompt or the answer."""

    judged: Literal["prompt", "answer"]
    model: str
    deployment: str | None
    judgement: Judgement
    verdict: Annotated[str, Field(description="Its number or categories, or why there is none.")]
    calls: int
    tokens: int
    cost_usd: float
    time_ms: int


class CountedTokens(TypedDict):
    """Tokens as they were counted."""

    prompt_tokens: int
    completion_tokens: int


class RequestTimes(TypedDict):
    """Milliseconds from when the request arrived until its answer was settled."""

    total_ms: int
    first_token_ms: Annotated[int | None, Field(description="Until the first of a stream.")]
    provider_ms: Annotated[int, Field(description="Of it, what calls of providers took.")]
    own_ms: Annotated[int, Field(description="The rest of it.")]


class LoggedRequest(TypedDict):
    """How a request was answered, or why it was not. What it said, and what was answered, is kept nowhere here."""

    id: str
    object: Literal["request"]
    created_at: Annotated[int, Field(description="Seconds since 1970.")]
    expires_at: Annotated[int, Field(description="When this record is deleted.")]
    tenant: str
    key: Annotated[str, Field(description="The id of the API key.")]
    user: Annotated[str | None, Field(description="Whom the request named in `metadata.sluice_user`.")]
    task: str | None
    route: Annotated[str, Field(description="The operation in `/openapi.json`.")]
    outcome: RequestOutcome
    status: Annotated[int, Field(description="The HTTP status, also of a stream that failed after it had begun.")]
    code: Annotated[str | None, Field(description="The error's code.")]
    reason: Annotated[str | None, Field(description="Why it was refused or failed, in words.")]
    why: Annotated[str, Field(description="Why this model answered, or why none did, in words.")]
    cause: Annotated[Cause, Field(description="Whether it was answered, or by whose fault it was not.")]
    repeats: Annotated[
        int, Field(description="Refusals like this one, in the seconds before, that have no record of their own.")
    ]
    requested_model: Annotated[str | None, Field(description="As the catalogue names it; null if it was refused.")]
    model: str | None
    deployment: str | None
    provider: str | None
    tier: Annotated[str | None, Field(description="Of the model that answered; null if none was asked.")]
    complexity: str | None
    cache: str | None
    streamed: bool
    asks: Annotated[int, Field(description="How often models, or the cache, were asked: more than once by some tasks.")]
    attempts: list[LoggedAttempt]
    guard_rules: Annotated[list[str], Field(description="The rules that fired.")]
    guard_models: Annotated[list[LoggedGuardModel], Field(description="Those that were asked, and what they took.")]
    usage: CountedTokens
    cost_usd: Annotated[float, Field(description="Without what guard models cost.")]
    infra_cost_usd: Annotated[float, Field(description="An estimate of what AWS bills for it.")]
    times: RequestTimes
    api_request_id: Annotated[str | None, Field(description="API Gateway's id, as in its access log.")]


class LoggedRequests(TypedDict):
    """A page of requests, the latest first.

    It may have fewer than asked for, or none, and still a `next_page`: how much is searched at once is bounded.
    """

    object: Literal["list"]
    data: list[LoggedRequest]
    has_more: bool
    next_page: str | None


@ROUTES.get("/v1/requests", role=Role.MANAGER, errors={404})
def list_requests(call: Call[None, RequestsQuery]) -> LoggedRequests:
    """List how requests were answered, the latest first.

    Those of the last week that asked a model or wanted to, of the key's own tenant; of all tenants, or the one named,
    for an admin. `page` is the `next_page` of the answer before.
    """
    query = call.query
    if query.page is not None and not is_request_id(query.page):
        raise InvalidRequestError("page: this is no next_page of an answer.", param="page")
    first_ms, last_ms = _period_ms(query)
    names = list(tenants(call.principal, query.tenant, call.app.directory))
    if len(names) > _MOST_TENANTS:
        raise InvalidRequestError(
            f"tenant: name one; requests of more than {_MOST_TENANTS} tenants are not listed at once.", param="tenant"
        )
    wanted = Wanted(
        from_ms=first_ms, to_ms=last_ms, caller=query.key, user=query.user, model=query.model, outcome=query.outcome
    )
    found = call.app.request_log_reader.page(names, wanted, after=query.page, limit=query.limit)
    return {
        "object": "list",
        "data": [logged(each) for each in found.records],
        "has_more": found.after is not None,
        "next_page": found.after,
    }


@ROUTES.get(
    "/v1/requests/{id}",
    role=Role.MANAGER,
    parameters={"id": PathParameter("The `x-sluice-request-id` of an answer.", "req_019abcde0123789a8bcdef0123456789")},
)
def get_request(call: Call[None, RequestQuery]) -> LoggedRequest:
    """Show how a request was answered, or why it was not.

    For a week, to managers and operators of its tenant, and to admins.
    """
    request_id = call.path["id"]
    names = tenants(call.principal, call.query.tenant, call.app.directory)
    found = call.app.request_log_reader.read(names, request_id)
    if found is None:
        # Another tenant's is not there either.
        raise NotFoundError("There is no record of such a request of the last seven days.", param="id")
    return logged(found)


def _period_ms(query: RequestsQuery) -> tuple[int, int | None]:
    first_ms = 0 if query.first is None else _ms(query.first, is_end=False)
    last_ms = None if query.last is None else _ms(query.last, is_end=True)
    if last_ms is not None and first_ms > last_ms:
        raise InvalidRequestError("from: it is after `to`.", param="from")
    return first_ms, last_ms


def _ms(moment: datetime | date, *, is_end: bool) -> int:
    """Milliseconds since 1970; of a day, its first or its last."""
    if isinstance(moment, datetime):
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    since = datetime.combine(moment, time(), UTC) - _EPOCH
    return since // timedelta(milliseconds=1) + (_DAY_MS - 1 if is_end else 0)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000


def logged(record: RequestRecord) -> LoggedRequest:
    """A record as the API shows it."""
    created_at = began_ms(record.request_id) // 1000
    return {
        "id": record.request_id,
        "object": "request",
        "created_at": created_at,
        "expires_at": created_at + KEPT_S,
        "tenant": record.tenant,
        "key": record.caller,
        "user": record.user or None,
        "task": record.task or None,
        "route": record.route,
        "outcome": record.outcome,
        "status": record.status,
        "code": record.error_code or None,
        "reason": record.reason or None,
        "why": why(record),
        "cause": cause_of(record),
        "repeats": record.repeats,
        "requested_model": record.asked_model or None,
        "model": record.model or None,
        "deployment": record.deployment or None,
        "provider": record.provider or None,
        "tier": record.tier or None,
        "complexity": record.complexity or None,
        "cache": record.cache or None,
        "streamed": record.is_streamed,
        "asks": record.asks,
        "attempts": [_attempt(each) for each in record.attempts],
        "guard_rules": list(record.guard_rules),
        "guard_models": [_guard_model(each) for each in record.guard_models],
        "usage": {"prompt_tokens": record.prompt_tokens, "completion_tokens": record.completion_tokens},
        "cost_usd": float(to_usd(record.cost_nanousd)),
        "infra_cost_usd": float(to_usd(record.infra_nanousd)),
        "times": {
            "total_ms": record.total_ms,
            "first_token_ms": record.first_token_ms or None,
            "provider_ms": record.provider_ms,
            "own_ms": record.own_ms,
        },
        "api_request_id": record.api_request_id or None,
    }


def _attempt(attempt: Attempted) -> LoggedAttempt:
    return {
        "deployment": attempt.deployment,
        "result": attempt.result,
        "status": attempt.status or None,
        "time_ms": attempt.time_ms or None,
    }


def _guard_model(use: GuardModelUse) -> LoggedGuardModel:
    return {
        "judged": "prompt" if use.judged == "prompt" else "answer",
        "model": use.model,
        "deployment": use.deployment or None,
        "judgement": use.judgement,
        "verdict": use.verdict,
        "calls": use.calls,
        "tokens": use.tokens,
        "cost_usd": float(to_usd(use.cost_nanousd)),
        "time_ms": use.time_ms,
    }
