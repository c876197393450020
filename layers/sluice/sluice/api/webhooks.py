"""Webhook endpoints, as OpenAI's API has them: /v1/webhook_endpoints, for operators of their tenant."""

from typing import Annotated, Literal, TypedDict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sluice.api.listing import listed
from sluice.api.route import Call, PathParameter, Routes
from sluice.api.tenant_names import DisplayName
from sluice.tenants.tenant import Role
from sluice.webhooks.endpoint import EventType
from sluice.webhooks.endpoint import WebhookEndpoint as EndpointRecord

ROUTES = Routes("Webhooks")

_ID = {"webhook_endpoint_id": PathParameter("The endpoint's id.", "we_019a00000000000000000000")}


def _each_once(types: list[EventType]) -> list[EventType]:
    return list(dict.fromkeys(types))


class NewWebhookEndpoint(BaseModel):
    """The body of POST /v1/webhook_endpoints."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: DisplayName
    url: Annotated[str, Field(min_length=1, max_length=2_048)]
    event_types: Annotated[list[EventType], Field(min_length=1, max_length=16), AfterValidator(_each_once)]


class SecretRotation(BaseModel):
    """The body of POST /v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    keep_old_secret_active_for_24_hours: bool = False


class EndpointQuery(BaseModel):
    """The query of GET /v1/webhook_endpoints."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    after: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class WebhookDelivery(TypedDict):
    """The latest attempt at an endpoint: what it answered, or why no answer came. Seconds since 1970."""

    event: str
    at: int
    outcome: Annotated[str, Field(description="delivered, retrying (another attempt follows) or gave_up.")]
    status: int | None
    reason: str | None


class WebhookEndpoint(TypedDict):
    """Where a tenant has events sent. Times are in seconds since 1970.

    `disabled_at` and `last_delivery` are Sluice's own: one that has answered 410 is disabled.
    """

    id: str
    object: Literal["webhook_endpoint"]
    name: str
    url: str
    event_types: list[EventType]
    signing_secret_hint: str
    created_at: int
    updated_at: int
    disabled_at: int | None
    last_delivery: WebhookDelivery | None


class WebhookEndpointWithSecret(WebhookEndpoint):
    """A webhook endpoint with its secret, which is shown in this answer and nowhere else."""

    signing_secret: str


class WebhookEndpoints(TypedDict):
    """A page of webhook endpoints."""

    object: Literal["list"]
    data: list[WebhookEndpoint]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedWebhookEndpoint(TypedDict):
    """A webhook endpoint that is gone."""

    id: str
    object: Literal["webhook_endpoint.deleted"]
    deleted: Literal[True]


@ROUTES.post(
    "/v1/webhook_endpoints",
    role=Role.OPERATOR,
    example={
        "name": "Answers of batches",
        "url": "https://example.com/webhooks",
        "event_types": ["batch.completed", "batch.failed"],
    },
    errors={409},
)
def create_webhook_endpoint(call: Call[NewWebhookEndpoint]) -> WebhookEndpointWithSecret:
    """Have events of one's tenant sent to a URL.

    It is https, on the public internet, and on port 443 or one from 1024. What is sent is signed as the Standard
    Webhooks specification says, so that `client.webhooks.unwrap` of OpenAI's SDKs verifies it. A tenant has ten
    endpoints at most.
    """
    asked = call.body
    call.app.addresses.check(asked.url)
    endpoint, secret = call.app.webhook_endpoints.create(asked.url, asked.name, tuple(asked.event_types), call.actor)
    return {**_shown(endpoint), "signing_secret": secret}


@ROUTES.get("/v1/webhook_endpoints", role=Role.OPERATOR)
def list_webhook_endpoints(call: Call[None, EndpointQuery]) -> WebhookEndpoints:
    """List one's tenant's webhook endpoints, the oldest first, and how the last delivery to each went."""
    found = call.app.webhook_endpoints.all(call.principal.tenant.id)
    ids = [each.id for each in found]
    start = ids.index(call.query.after) + 1 if call.query.after in ids else 0
    data = [_shown(each) for each in found[start : start + call.query.limit]]
    return listed(data, has_more=start + len(data) < len(found))


@ROUTES.get("/v1/webhook_endpoints/{webhook_endpoint_id}", role=Role.OPERATOR, parameters=_ID)
def get_webhook_endpoint(call: Call) -> WebhookEndpoint:
    """Show a webhook endpoint, and how the last delivery to it went."""
    return _shown(call.app.webhook_endpoints.get(call.principal.tenant.id, call.path["webhook_endpoint_id"]))


@ROUTES.delete("/v1/webhook_endpoints/{webhook_endpoint_id}", role=Role.OPERATOR, parameters=_ID, errors={409})
def delete_webhook_endpoint(call: Call) -> DeletedWebhookEndpoint:
    """Delete a webhook endpoint.

    What was to be delivered to it is not sent any more.
    """
    endpoint_id = call.path["webhook_endpoint_id"]
    call.app.webhook_endpoints.delete(endpoint_id, call.actor)
    return {"id": endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True}


@ROUTES.post(
    "/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret",
    role=Role.OPERATOR,
    parameters=_ID,
    example={"keep_old_secret_active_for_24_hours": True},
    errors={409},
)
def rotate_webhook_secret(call: Call[SecretRotation]) -> WebhookEndpointWithSecret:
    """Give a webhook endpoint another secret.

    The former one ends at once, or goes on to sign beside the new one for a day.
    """
    endpoint, secret = call.app.webhook_endpoints.rotate(
        call.path["webhook_endpoint_id"], call.actor, keeps_old=call.body.keep_old_secret_active_for_24_hours
    )
    return {**_shown(endpoint), "signing_secret": secret}


def _shown(endpoint: EndpointRecord) -> WebhookEndpoint:
    last = endpoint.last_delivery
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "signing_secret_hint": f"whsec_...{endpoint.hint}",
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "disabled_at": endpoint.disabled_at,
        "last_delivery": None
        if last is None
        else {
            "event": last.event,
            "at": last.at,
            "outcome": str(last.outcome),
            "status": last.status,
            "reason": last.reason or None,
        },
    }
