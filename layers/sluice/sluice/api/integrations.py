"""Providers, gateways and sources of data that a tenant brings: /api/v1/ai/integrations."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self, TypedDict, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from sluice.api.route import Call, PathParameter, Reply, Routes
from sluice.api.tenant_names import DisplayName, NamedTenantQuery, tenant_of
from sluice.errors import InvalidRequestError
from sluice.integrations.integration import CREDENTIALS, ID_PATTERN, Integration, IntegrationType, Subtype
from sluice.providers.credentials import CredentialModel, Name, Url
from sluice.tenants.tenant import Role
from sluice.tenants.versions import entity_tag

ROUTES = Routes("AI configuration")

_ID = {"id": PathParameter("The id of an integration.", "int_0123456789abcdef01234567")}
_SUBTYPES: Mapping[str, tuple[str, ...]] = {
    "ai_model": ("embedding", "llm", "gateway"),
    "jira": ("data_source",),
    "github": ("data_source",),
}

type Provider = Literal[
    "local",
    "sentence_transformers",
    "openai",
    "azure_openai",
    "google_gemini",
    "anthropic_claude",
    "custom_gateway",
    "groq",
    "huggingface",
    "openrouter",
    "openai_compatible",
]
# What would make a model of a tenant's own stand for another, or judge what others say.
_NOT_A_TENANTS = frozenset({"aliases", "answers_callers", "verdict"})

type _Secret = Annotated[SecretStr, Field(min_length=1, max_length=2_048)]
type _Limit = Annotated[int, Field(ge=1, le=10**12)]
type IntegrationId = Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ModelChoice(_Given):
    """Which models are asked: one by its name, or several as a credential of the stack's names them; else all known."""

    model_name: Name | None = None
    tier: Literal["fast", "smart"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None = None
    models: Annotated[dict[Name, CredentialModel], Field(min_length=1, max_length=100)] | None = None


class Performance(_Given):
    """How long a call may take, what comes first (1), and the limits of each model."""

    timeout_seconds: Annotated[float, Field(gt=0, le=900)] | None = None
    priority: Annotated[int, Field(ge=1, le=1_000)] | None = None
    requests_per_minute: _Limit | None = None
    requests_per_day: _Limit | None = None
    tokens_per_minute: _Limit | None = None
    tokens_per_day: _Limit | None = None


class GivenCredentials(_Given):
    """What is secret: it is written once, and never shown again. Which of them there are depends on the type."""

    api_key: _Secret | None = None
    email: _Secret | None = None
    api_token: _Secret | None = None
    token: _Secret | None = None

    def texts(self) -> dict[str, str]:
        """Those that were given."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: secret.get_secret_value() for name, secret in found.items() if secret is not None}


class NewIntegration(_Given):
    """The body of POST /api/v1/ai/integrations."""

    type: IntegrationType
    subtype: Subtype | None = None
    provider: Provider | None = None
    name: DisplayName
    base_url: Url | None = None
    credentials: Annotated[GivenCredentials, Field(default_factory=GivenCredentials)]
    choice: Annotated[ModelChoice, Field(alias="model_config", default_factory=ModelChoice)]
    performance_config: Annotated[Performance, Field(default_factory=Performance)]
    fallback_integration_id: IntegrationId | None = None
    active: bool = True


class IntegrationChange(_Given):
    """The body of PATCH /api/v1/ai/integrations/{id}: the fields to change, each as a whole."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    # Left out is not null.
    name: DisplayName = Field(default=cast("str", None))
    base_url: Url | None = None
    credentials: GivenCredentials = Field(default=cast("GivenCredentials", None))
    choice: ModelChoice = Field(alias="model_config", default=cast("ModelChoice", None))
    performance_config: Performance = Field(default=cast("Performance", None))
    fallback_integration_id: IntegrationId | None = None
    active: bool = Field(default=cast("bool", None))

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Body should have at least one of the fields to change")
        return self


class IntegrationQuery(NamedTenantQuery):
    """The query of GET /api/v1/ai/integrations."""

    type: IntegrationType | None = None
    subtype: Subtype | None = None


class AiIntegration(TypedDict):
    """What a tenant brings. Times are in seconds since 1970."""

    id: str
    object: Literal["ai.integration"]
    tenant: str
    type: Literal["ai_model", "jira", "github"]
    subtype: Literal["embedding", "llm", "gateway", "data_source"]
    provider: str | None
    name: str
    base_url: str | None
    credentials: Annotated[
        dict[str, str], Field(description="Which there are, each with at most its last four characters.")
    ]
    model_config: dict[str, Any]
    performance_config: dict[str, Any]
    fallback_integration_id: str | None
    active: bool
    version: int
    created_at: Annotated[int, Field(description="Seconds since 1970.")]
    updated_at: int
    updated_by: Annotated[str, Field(description="The id of an API key or a login.")]


class AiIntegrations(TypedDict):
    """A tenant's integrations, the first made first."""

    object: Literal["list"]
    data: list[AiIntegration]


class DeletedAiIntegration(TypedDict):
    """An integration that is gone, with its secrets."""

    id: str
    object: Literal["ai.integration.deleted"]
    deleted: Literal[True]


class IntegrationTest(TypedDict):
    """What came of asking an integration."""

    object: Literal["ai.integration.test"]
    ok: bool
    latency_ms: float
    models: Annotated[list[str], Field(description="Those that the key may use, as far as the provider tells.")]
    error: Annotated[str | None, Field(description="What is wrong, and what to look at.")]


@ROUTES.get("/api/v1/ai/integrations", role=Role.OPERATOR, errors={404})
def list_integrations(call: Call[None, IntegrationQuery]) -> AiIntegrations:
    """List what a tenant brings."""
    query = call.query
    found = [
        each
        for each in call.app.integrations.all(tenant_of(call))
        if query.type in {None, each.type} and query.subtype in {None, each.subtype}
    ]
    return {"object": "list", "data": [_shown(each) for each in found]}


@ROUTES.post(
    "/api/v1/ai/integrations",
    role=Role.OPERATOR,
    example={
        "type": "ai_model",
        "subtype": "llm",
        "provider": "groq",
        "name": "Our own Groq key",
        "credentials": {"api_key": "gsk_..."},
    },
    errors={404, 409},
    status=HTTPStatus.CREATED,
)
def create_integration(call: Call[NewIntegration, NamedTenantQuery]) -> Reply[AiIntegration]:
    """Bring a provider, a gateway or a source of data, with keys of the tenant's own.

    Models of an integration are the tenant's alone, beside those of the stack, and come before them where priorities
    are the same. `base_url` is https and on the public internet, or in a network that the stack allows: that is looked
    at again with each call. What is secret is kept encrypted, and never shown again.
    """
    wanted = _integration(call.body, tenant_of(call))
    credentials = call.body.credentials.texts()
    _check(call, wanted, credentials)
    return _reply(call.app.integrations.create(wanted, credentials, call.actor))


@ROUTES.get("/api/v1/ai/integrations/{id}", role=Role.OPERATOR, parameters=_ID)
def get_integration(call: Call[None, NamedTenantQuery]) -> Reply[AiIntegration]:
    """Show an integration."""
    return _reply(_found(call))


@ROUTES.patch(
    "/api/v1/ai/integrations/{id}",
    role=Role.OPERATOR,
    parameters=_ID,
    example={"active": False},
    errors={409, 412},
)
def change_integration(call: Call[IntegrationChange, NamedTenantQuery]) -> Reply[AiIntegration]:
    """Change an integration, within 60 s everywhere. Credentials that are given take the place of those there are."""
    before, body = _found(call), call.body
    credentials = body.credentials.texts() if "credentials" in body.model_fields_set else None

    def changed(integration: Integration) -> Integration:
        after = replace(integration, **_fields(body))
        if _is_elsewhere(integration, after) and integration.endings and not credentials:
            # A key that is never shown is not sent to a host either that it was not given for.
            reason = "credentials: give them anew, as base_url leads to another host."
            raise InvalidRequestError(reason, param="credentials")
        _check(call, after, credentials)
        return after

    return _reply(call.app.integrations.change(before, changed, credentials, call.actor, if_match=call.if_match))


@ROUTES.delete("/api/v1/ai/integrations/{id}", role=Role.OPERATOR, parameters=_ID, errors={409})
def delete_integration(call: Call[None, NamedTenantQuery]) -> DeletedAiIntegration:
    """Delete an integration and what is secret of it, within 60 s everywhere."""
    integration = _found(call)
    call.app.integrations.delete(integration, call.actor)
    return {"id": integration.id, "object": "ai.integration.deleted", "deleted": True}


@ROUTES.post("/api/v1/ai/integrations/{id}/test", role=Role.OPERATOR, parameters=_ID)
def test_integration(call: Call[None, NamedTenantQuery]) -> IntegrationTest:
    """Ask an integration for what costs nothing, and say whether its credentials are taken and what is there."""
    from sluice.catalog.catalog import catalog
    from sluice.integrations.probe import probe

    integration = _found(call)
    secret = call.app.integrations.secrets_of([integration]).get(integration.id, {})
    result = probe(integration, secret, catalog(), call.app.settings.allowed_networks)
    return {
        "object": "ai.integration.test",
        "ok": result.ok,
        "latency_ms": result.latency_ms,
        "models": list(result.models),
        "error": result.error,
    }


def _found(call: Call[Any, NamedTenantQuery]) -> Integration:
    return call.app.integrations.get(tenant_of(call), call.path["id"])


def _integration(body: NewIntegration, tenant: str) -> Integration:
    subtypes = _SUBTYPES[body.type]
    subtype = body.subtype or (subtypes[0] if len(subtypes) == 1 else None)
    if subtype not in subtypes:
        raise InvalidRequestError(f"subtype: of type {body.type} it is one of {', '.join(subtypes)}.", param="subtype")
    if (body.provider is not None) != (body.type == "ai_model"):
        reason = "provider: an integration of type ai_model has one, and no other."
        raise InvalidRequestError(reason, param="provider")
    return Integration(
        id="",
        tenant=tenant,
        type=body.type,
        subtype=cast("Subtype", subtype),
        provider=body.provider,
        name=body.name,
        base_url=body.base_url,
        models=_dumped(body.choice),
        performance=_dumped(body.performance_config),
        fallback_id=body.fallback_integration_id,
        active=body.active,
    )


def _fields(body: IntegrationChange) -> dict[str, Any]:
    """What was given, by the names of an Integration's fields."""
    found: dict[str, Any] = {}
    for name in body.model_fields_set - {"credentials"}:
        value = getattr(body, name)
        found[_IN_RECORD.get(name, name)] = _dumped(value) if isinstance(value, BaseModel) else value
    return found


_IN_RECORD = {"choice": "models", "performance_config": "performance", "fallback_integration_id": "fallback_id"}


def _dumped(given: BaseModel) -> dict[str, Any]:
    found: dict[str, Any] = given.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return found


def _check(call: Call[Any, Any], integration: Integration, credentials: Mapping[str, str] | None) -> None:
    """Refuse what no deployment could be made of, and a host that may not be reached."""
    names = CREDENTIALS[integration.type]
    for name in credentials or ():
        if name not in names:
            reason = f"credentials.{name}: of type {integration.type} there are {', '.join(names)}."
            raise InvalidRequestError(reason, param=f"credentials.{name}")
    if integration.base_url is not None:
        call.app.addresses.check(integration.base_url, "base_url")
        if set(parse_qs(urlsplit(integration.base_url).query, keep_blank_values=True)) - {"api-version"}:
            reason = (
                "base_url: has a query other than api-version, which may hold a secret: that belongs in credentials."
            )
            raise InvalidRequestError(reason, param="base_url")
    for name, entry in integration.models.get("models", {}).items():
        for field in _NOT_A_TENANTS & entry.keys():
            param = f"model_config.models.{name}.{field}"
            raise InvalidRequestError(f"{param}: is an operator's of the stack to say.", param=param)
    if integration.type != "ai_model":
        return
    from sluice.catalog.catalog import catalog
    from sluice.integrations.credentials import IntegrationError, to_credential
    from sluice.providers.registry import Registry

    known = catalog()
    # Stored secrets are not read for this: that there are some is enough.
    secret = credentials or ({"api_key": "kept"} if "api_key" in integration.endings else {})
    checked = replace(integration, id=integration.id or "int_new")
    try:
        credential = to_credential(checked, secret, known)
        registry = Registry((), {}).joined(known, [credential], ())
    except IntegrationError as error:
        raise InvalidRequestError(f"{error}.", param=str(error).partition(":")[0]) from None
    if registry.broken:
        reason = registry.broken[0].reason
        raise InvalidRequestError(f"{_as_given(reason)}.", param=_as_given(reason).partition(":")[0])


def _is_elsewhere(before: Integration, after: Integration) -> bool:
    """Whether requests would go to another server than before."""
    return _origin(before.base_url) != _origin(after.base_url)


def _origin(url: str | None) -> tuple[str, str] | None:
    parts = None if url is None else urlsplit(url)
    return None if parts is None else (parts.scheme, parts.netloc)


def _as_given(reason: str) -> str:
    """What is wrong with a credential, by the names of an integration's fields."""
    if reason.startswith("api_key"):
        return f"credentials.{reason}"
    return f"model_config.{reason}" if reason.startswith("models") else reason


def _reply(integration: Integration) -> Reply[AiIntegration]:
    return Reply(_shown(integration), headers={"etag": entity_tag(integration.version)})


def _shown(integration: Integration) -> AiIntegration:
    return {
        "id": integration.id,
        "object": "ai.integration",
        "tenant": integration.tenant,
        "type": integration.type,
        "subtype": integration.subtype,
        "provider": integration.provider,
        "name": integration.name,
        "base_url": integration.base_url,
        "credentials": {name: f"...{ending}" for name, ending in integration.endings.items()},
        "model_config": dict(integration.models),
        "performance_config": dict(integration.performance),
        "fallback_integration_id": integration.fallback_id,
        "active": integration.active,
        "version": integration.version,
        "created_at": integration.created_at,
        "updated_at": integration.updated_at,
        "updated_by": integration.updated_by,
    }
