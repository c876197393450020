"""What a tenant prefers of its agents and stores: /api/v1/ai/preferences."""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field

from sluice.api.route import Call, Reply, Routes
from sluice.api.tenant_names import NamedTenantQuery, tenant_of
from sluice.errors import InvalidRequestError
from sluice.tenants.choices import Choice
from sluice.tenants.preference_types import (
    MODELS,
    AgentConfig,
    DashboardPreferences,
    EmbeddingPreferences,
    PreferenceType,
    QuestionPreferences,
    defaults,
    merged,
    resolved,
)
from sluice.tenants.tenant import Role
from sluice.tenants.versions import entity_tag

ROUTES = Routes("AI configuration")


class AiPreferences(TypedDict):
    """Preferences of a type. The header `etag` has the version for `if-match`."""

    object: Literal["ai.preferences"]
    tenant: str
    type: Literal["agent_config", "dashboard_ai", "embedding_config", "qa_agent"]
    version: Annotated[int, Field(description="How often they were changed.")]
    updated_at: Annotated[int | None, Field(description="Seconds since 1970.")]
    updated_by: Annotated[str | None, Field(description="The id of an API key or a login.")]
    configuration: Annotated[dict[str, Any], Field(description="What holds: what was chosen, else what is usual.")]
    defaults: Annotated[dict[str, Any], Field(description="What is usual.")]


class AllAiPreferences(TypedDict):
    """Preferences of every type."""

    object: Literal["list"]
    data: list[AiPreferences]


@ROUTES.get("/api/v1/ai/preferences", role=Role.CALLER, errors={404})
def list_ai_preferences(call: Call[None, NamedTenantQuery]) -> AllAiPreferences:
    """Show a tenant's preferences of all types."""
    tenant, preferences = tenant_of(call), call.app.preferences
    return {"object": "list", "data": [_shown(tenant, kind, preferences.get(tenant, kind)) for kind in MODELS]}


@ROUTES.get("/api/v1/ai/preferences/agent_config", role=Role.CALLER, errors={404})
def get_agent_config(call: Call[None, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Show what all agents of a tenant do."""
    return _get(call, "agent_config")


@ROUTES.patch(
    "/api/v1/ai/preferences/agent_config",
    role=Role.MANAGER,
    example={"questionAnswering": {"responseStyle": "brief", "confidenceThreshold": 0.9}},
    errors={404, 409, 412},
)
def change_agent_config(call: Call[AgentConfig, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Change what all agents of a tenant do.

    A field that is given replaces the one there is, the others stay. With `if-match` the version that is changed is the
    one that it names, or none. So for every type.
    """
    return _change(call, "agent_config")


@ROUTES.get("/api/v1/ai/preferences/dashboard_ai", role=Role.CALLER, errors={404})
def get_dashboard_ai(call: Call[None, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Show which insights a tenant's dashboards are given."""
    return _get(call, "dashboard_ai")


@ROUTES.patch(
    "/api/v1/ai/preferences/dashboard_ai",
    role=Role.MANAGER,
    example={"trend_analysis": False},
    errors={404, 409, 412},
)
def change_dashboard_ai(call: Call[DashboardPreferences, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Change which insights a tenant's dashboards are given."""
    return _change(call, "dashboard_ai")


@ROUTES.get("/api/v1/ai/preferences/embedding_config", role=Role.CALLER, errors={404})
def get_embedding_config(call: Call[None, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Show which model a tenant's new stores embed with."""
    return _get(call, "embedding_config")


@ROUTES.patch(
    "/api/v1/ai/preferences/embedding_config",
    role=Role.MANAGER,
    example={"model": "text-embedding-3-small", "dimensions": 512},
    errors={404, 409, 412},
)
def change_embedding_config(call: Call[EmbeddingPreferences, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Change which model a tenant's new stores embed with; those there are keep theirs."""
    return _change(call, "embedding_config")


@ROUTES.get("/api/v1/ai/preferences/qa_agent", role=Role.CALLER, errors={404})
def get_qa_agent(call: Call[None, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Show how a tenant's questions are answered."""
    return _get(call, "qa_agent")


@ROUTES.patch(
    "/api/v1/ai/preferences/qa_agent",
    role=Role.MANAGER,
    example={"primaryModel": "llama-3.3-70b-versatile", "confidenceThreshold": 0.7},
    errors={404, 409, 412},
)
def change_qa_agent(call: Call[QuestionPreferences, NamedTenantQuery]) -> Reply[AiPreferences]:
    """Change how a tenant's questions are answered."""
    return _change(call, "qa_agent")


def _get(call: Call[Any, NamedTenantQuery], kind: PreferenceType) -> Reply[AiPreferences]:
    tenant = tenant_of(call)
    return _reply(tenant, kind, call.app.preferences.get(tenant, kind))


def _change(call: Call[Any, NamedTenantQuery], kind: PreferenceType) -> Reply[AiPreferences]:
    given = call.body.model_dump(mode="json", exclude_unset=True)
    if not given:
        raise InvalidRequestError("Body should have at least one of the fields to change")
    tenant = tenant_of(call)
    choice = call.app.preferences.change(
        tenant, kind, lambda before: merged(before, given), call.actor, if_match=call.if_match
    )
    return _reply(tenant, kind, choice)


def _reply(tenant: str, kind: PreferenceType, choice: Choice) -> Reply[AiPreferences]:
    return Reply(_shown(tenant, kind, choice), headers={"etag": entity_tag(choice.version)})


def _shown(tenant: str, kind: PreferenceType, choice: Choice) -> AiPreferences:
    return {
        "object": "ai.preferences",
        "tenant": tenant,
        "type": kind,
        "version": choice.version,
        "updated_at": choice.changed_at,
        "updated_by": choice.changed_by,
        "configuration": resolved(kind, choice.values),
        "defaults": defaults(kind),
    }
