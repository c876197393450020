"""Tenants, for admins: /v1/tenants."""

from dataclasses import asdict, replace
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self, TypedDict, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sluice.api.route import Call, PathParameter, Routes
from sluice.api.spend_limits import GivenSpendLimits, ShownSpendLimits, shown_of_users
from sluice.api.tenant_names import DisplayName, TenantId
from sluice.catalog.money import to_nanousd
from sluice.errors import InvalidRequestError
from sluice.ingestion.messages import Forget
from sluice.settings import (
    MOST_CACHE_S,
    MOST_CONVERSATION_MESSAGES,
    MOST_CONVERSATION_TOKENS,
    MOST_TEMPERATURE,
    MOST_TOKENS,
)
from sluice.tenants.preferences import PREFERENCE_TYPES
from sluice.tenants.tenant import CachePolicyName, GuardMode, Role, WhenUnavailable
from sluice.tenants.tenant import GuardModel as GuardModelRecord
from sluice.tenants.tenant import GuardModels as GuardModelsRecord
from sluice.tenants.tenant import Tenant as TenantRecord
from sluice.tenants.time_zone import time_zone
from sluice.validation.text import IN_ANY_CASE

ROUTES = Routes("Tenants and keys")

_ID = {"id": PathParameter("The id of a tenant.", "school")}


def _known_time_zone(name: str) -> str:
    time_zone(name)
    return name


type RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
type _TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_time_zone)]
type ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class ChosenGuardModel(BaseModel):
    """A model that judges, and what becomes of what it could not judge."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    model: ModelName
    threshold: Annotated[
        float, Field(gt=0, le=1, description="From which probability on it is an attack; of a model that says one.")
    ] = 0.5
    when_unavailable: Annotated[WhenUnavailable, IN_ANY_CASE] = "allow"


class ChosenGuardModels(BaseModel):
    """The models that judge prompts before a model is asked, and answers before they leave. null is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    prompt: ChosenGuardModel | None = None
    answer: ChosenGuardModel | None = None

    def to_record(self) -> GuardModelsRecord:
        """As it is stored."""
        sides = {side: None if (each := getattr(self, side)) is None else each.model_dump() for side in _SIDES}
        return GuardModelsRecord(**{side: GuardModelRecord(**each) for side, each in sides.items() if each is not None})


_SIDES = ("prompt", "answer")


class TenantPolicies(BaseModel):
    """What a tenant may have of its own. null is none, or the deployment's default."""

    # A misspelt limit must not silently be no limit.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    budget_usd_per_month: Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9)] | None = None
    guard_modes: Annotated[dict[RuleId, Annotated[GuardMode, IN_ANY_CASE]], Field(max_length=200)] | None = None
    allowed_models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=200)] | None = None
    cache_ttl_seconds: Annotated[int, Field(ge=0, le=MOST_CACHE_S)] | None = None
    cache_policy: Annotated[CachePolicyName, IN_ANY_CASE] | None = None
    fallbacks: (
        Annotated[dict[ModelName, Annotated[tuple[ModelName, ...], Field(max_length=20)]], Field(max_length=200)] | None
    ) = None
    user_limits: GivenSpendLimits | None = None
    guard_models: ChosenGuardModels | None = None
    smart_model_max_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    guard_mode: Annotated[GuardMode, IN_ANY_CASE] | None = None
    routing_enabled: bool | None = None
    default_max_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None = None
    default_temperature: Annotated[float, Field(ge=0, le=MOST_TEMPERATURE)] | None = None
    conversation_messages: Annotated[int, Field(ge=1, le=MOST_CONVERSATION_MESSAGES)] | None = None
    conversation_tokens: Annotated[int, Field(ge=1, le=MOST_CONVERSATION_TOKENS)] | None = None
    time_zone: _TimeZone | None = None

    def in_record(self, tenant: TenantRecord) -> TenantRecord:
        """`tenant` with what was given."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set & _IN_RECORD.keys()}
        if given.get("user_limits") is not None:
            given["user_limits"] = given["user_limits"].limits()
        given |= {name: {} for name in _MAPS if name in given and given[name] is None}
        if given.get("budget_usd_per_month") is not None:
            given["budget_usd_per_month"] = to_nanousd(given["budget_usd_per_month"])
        if "guard_models" in given:
            given["guard_models"] = (given["guard_models"] or ChosenGuardModels()).to_record()
        return replace(tenant, **{_IN_RECORD[name]: value for name, value in given.items()})


# The fields of a record by the API's names.
_IN_RECORD = {
    "name": "name",
    "budget_usd_per_month": "budget_nanousd",
    "guard_modes": "guard_modes",
    "allowed_models": "allowed_models",
    "cache_ttl_seconds": "cache_ttl_s",
    "cache_policy": "cache_policy",
    "fallbacks": "fallbacks",
    "user_limits": "user_limits",
    "guard_models": "guard_models",
    "smart_model_max_percent": "smart_model_max_percent",
    "guard_mode": "guard_mode",
    "routing_enabled": "is_routing_enabled",
    "default_max_tokens": "default_max_tokens",
    "default_temperature": "default_temperature",
    "conversation_messages": "conversation_messages",
    "conversation_tokens": "conversation_tokens",
    "time_zone": "time_zone",
}
_MAPS = ("guard_modes", "fallbacks", "user_limits")


class NewTenant(TenantPolicies):
    """The body of POST /v1/tenants."""

    id: TenantId
    name: DisplayName

    def to_record(self) -> TenantRecord:
        """The tenant as it is stored."""
        return self.in_record(TenantRecord(self.id, self.name))


class TenantChange(TenantPolicies):
    """The body of PATCH /v1/tenants/{id}: the fields to change, each as a whole."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    # Left out is not null.
    name: DisplayName = Field(default=cast("str", None))

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Body should have at least one of the fields to change")
        return self


class TenantQuery(BaseModel):
    """The query of GET /v1/tenants: at most `limit`, those whose ids follow `after`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    after: TenantId | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class GuardModel(TypedDict):
    """A model that judges, and what becomes of what it could not judge."""

    model: str
    threshold: float
    when_unavailable: WhenUnavailable


class GuardModels(TypedDict):
    """The models that judge prompts before a model is asked, and answers before they leave. null is none."""

    prompt: GuardModel | None
    answer: GuardModel | None


class Tenant(TypedDict):
    """Who owns API keys, policies and a budget. null is no limit of its own."""

    id: str
    object: Literal["tenant"]
    name: str
    budget_usd_per_month: float | None
    guard_modes: Annotated[
        dict[str, GuardMode], Field(description="Modes of guard rules that differ from the rule's own.")
    ]
    allowed_models: list[str] | None
    cache_ttl_seconds: int | None
    cache_policy: Annotated[CachePolicyName | None, Field(description="Who shares answers; null: as the stack says.")]
    fallbacks: Annotated[dict[str, list[str]], Field(description="Models that stand in for a model, best first.")]
    user_limits: Annotated[
        ShownSpendLimits, Field(description="Of each user whom requests name, where its key has none.")
    ]
    guard_models: GuardModels
    smart_model_max_percent: Annotated[
        float | None, Field(description="Of what `auto` answers the tenant; null: as the stack says.")
    ]
    guard_mode: Annotated[
        GuardMode | None, Field(description="The most that a rule does which guard_modes leaves out.")
    ]
    routing_enabled: Annotated[
        bool | None, Field(description="false: deployments are asked by their priority, whatever is asked of them.")
    ]
    default_max_tokens: Annotated[int | None, Field(description="For requests that state none; 0: none either.")]
    default_temperature: Annotated[float | None, Field(description="For requests that state none.")]
    conversation_messages: Annotated[
        int | None, Field(description="What of a conversation a model is sent, with the new question.")
    ]
    conversation_tokens: int | None
    time_zone: Annotated[str | None, Field(description="Where the days of its reports begin; null: in UTC.")]
    created_at: Annotated[int, Field(description="Seconds since 1970.")]


class Tenants(TypedDict):
    """A page of tenants; if it `has_more`, the last one's id as `after` asks for the next."""

    object: Literal["list"]
    data: list[Tenant]
    has_more: bool


class DeletedTenant(TypedDict):
    """A tenant that is gone, whose keys are not accepted any more, within 60 s everywhere."""

    id: str
    object: Literal["tenant.deleted"]
    deleted: Literal[True]
    keys_revoked: Annotated[int, Field(description="How many keys this request revoked.")]
    is_finished: Annotated[bool, Field(description="false: there was no time to revoke them all. Delete it again.")]


@ROUTES.post(
    "/v1/tenants",
    role=Role.ADMIN,
    example={"id": "school", "name": "The school", "budget_usd_per_month": 25},
    errors={409},
    status=HTTPStatus.CREATED,
)
def create_tenant(call: Call[NewTenant]) -> Tenant:
    """Make a tenant."""
    check_policies(call.body)
    return _shown(call.app.administration.create_tenant(call.body.to_record(), call.actor))


@ROUTES.get("/v1/tenants", role=Role.ADMIN)
def list_tenants(call: Call[None, TenantQuery]) -> Tenants:
    """List the tenants."""
    page = call.app.directory.tenants(after=call.query.after, limit=call.query.limit)
    return {"object": "list", "data": [_shown(tenant) for tenant in page.entries], "has_more": page.has_more}


@ROUTES.patch(
    "/v1/tenants/{id}",
    role=Role.ADMIN,
    parameters=_ID,
    example={"budget_usd_per_month": 40, "cache_policy": None},
    errors={409},
)
def change_tenant(call: Call[TenantChange]) -> Tenant:
    """Change a tenant.

    A field that is given replaces the one there is; null takes it away. Within 60 s everywhere.
    """
    check_policies(call.body)
    return _shown(call.app.administration.change_tenant(call.path["id"], call.body.in_record, call.actor))


@ROUTES.delete("/v1/tenants/{id}", role=Role.ADMIN, parameters=_ID, errors={409})
def delete_tenant(call: Call) -> DeletedTenant:
    """Delete a tenant and revoke its keys, within 60 s everywhere.

    Nobody gets its id again, and its webhook endpoints, sources and integrations are deleted. What it used stays for
    400 days, and its conversations for 30, for an admin to see; cached answers, versions of tasks and questions are
    nobody's, and go when their time is over, if they have one. Doing it again revokes what a first time left.
    """
    tenant_id = call.path["id"]
    deletion = call.app.administration.delete_tenant(tenant_id, call.actor, lambda: call.deadline.remaining_s)
    call.app.webhook_endpoints.forget(tenant_id)
    call.app.integrations.forget(tenant_id)
    for source in call.app.ingest_sources.forget(tenant_id):
        call.app.ingest_queue.send(Forget.of(source).model_dump(mode="json"), group=tenant_id)
    call.app.preferences.forget(tenant_id, PREFERENCE_TYPES)
    return {
        "id": tenant_id,
        "object": "tenant.deleted",
        "deleted": True,
        "keys_revoked": deletion.keys_revoked,
        "is_finished": deletion.is_finished,
    }


def check_policies(policies: Any) -> None:
    """Refuse guard rules and guard models that there are not, in a body that may have some."""
    if policies.guard_modes:
        # Imported when a request gives one: no other route of this function needs the rules.
        from sluice.guards.rules import check_rule_ids

        check_rule_ids(policies.guard_modes, "guard_modes")
    for side in _SIDES:
        chosen = getattr(policies.guard_models, side, None)
        if chosen is not None:
            _check_guard_model(chosen.model, f"guard_models.{side}.model")


def _check_guard_model(name: str, param: str) -> None:
    """Refuse a model that the catalogue knows, and as no guard model. A credential may have others."""
    from sluice.catalog.catalog import catalog

    known = [each for each in catalog().models if each.is_among((name,))]
    if known and all(each.verdict is None for each in known):
        guards = ", ".join(each.id for each in catalog().models if each.verdict is not None)
        raise InvalidRequestError(f"{param}: {name!r} is no guard model; the catalogue has {guards}.", param=param)


def _shown(tenant: TenantRecord) -> Tenant:
    budget = tenant.budget_usd_per_month
    return {
        "id": tenant.id,
        "object": "tenant",
        "name": tenant.name,
        "budget_usd_per_month": None if budget is None else float(budget),
        "guard_modes": dict(tenant.guard_modes),
        "allowed_models": None if tenant.allowed_models is None else list(tenant.allowed_models),
        "cache_ttl_seconds": tenant.cache_ttl_s,
        "cache_policy": tenant.cache_policy,
        "fallbacks": {model: list(names) for model, names in tenant.fallbacks.items()},
        "user_limits": shown_of_users(tenant.user_limits),
        "guard_models": cast("GuardModels", asdict(tenant.guard_models)),
        "smart_model_max_percent": tenant.smart_model_max_percent,
        "guard_mode": tenant.guard_mode,
        "routing_enabled": tenant.is_routing_enabled,
        "default_max_tokens": tenant.default_max_tokens,
        "default_temperature": tenant.default_temperature,
        "conversation_messages": tenant.conversation_messages,
        "conversation_tokens": tenant.conversation_tokens,
        "time_zone": tenant.time_zone,
        "created_at": tenant.created_at,
    }
