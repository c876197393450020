"""API keys, for admins and for managers of their tenant: /v1/keys."""

from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self, TypedDict, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from sluice.api.route import Call, PathParameter, Routes
from sluice.api.spend_limits import GivenSpendLimits, ShownSpendLimits, shown, shown_of_users
from sluice.api.tenant_names import DisplayName, TenantId
from sluice.settings import Settings
from sluice.tenants.administration import KeyTerms
from sluice.tenants.api_key_token import KEY_ID_PATTERN
from sluice.tenants.tenant import ApiKey, Role
from sluice.tenants.visibility import reached

ROUTES = Routes("Tenants and keys")

_ID = {"id": PathParameter("The id of a key: what stands in it after `sl-`.", "k0a1b2c3d4e5")}

MOST_KEYS_AT_ONCE = 100
"""How many keys one request makes."""
# The last second of the year 9999. A time in milliseconds is beyond it.
_LAST_SECOND = 253_402_300_799


class KeyLimits(GivenSpendLimits):
    """`limits` of a key; null, or what is left out of a new key, is the deployment's default: none but of requests."""

    requests_per_minute: Annotated[int, Field(ge=1, le=10**6)] | None = None
    requests_per_day: Annotated[int, Field(ge=1, le=10**9)] | None = None


type _Moment = AwareDatetime | Annotated[int, Field(ge=0, le=_LAST_SECOND)]


class NewKey(BaseModel):
    """The body of POST /v1/keys. `expires_at` is ISO 8601 with a time zone, or seconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: TenantId
    role: Role = Role.CALLER
    name: DisplayName
    expires_at: _Moment | None = None
    limits: Annotated[KeyLimits, Field(default_factory=KeyLimits)]
    user_limits: Annotated[GivenSpendLimits, Field(default_factory=GivenSpendLimits)]

    def to_terms(self) -> KeyTerms:
        """The key's terms."""
        return KeyTerms(
            tenant_id=self.tenant,
            role=self.role,
            name=self.name,
            limits=self.limits.given(),
            user_limits=self.user_limits.limits(),
            expires_at=_seconds(self.expires_at),
        )


class KeyChange(BaseModel):
    """The body of PATCH /v1/keys/{id}: the fields to change. null is the deployment's default, or no expiry."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, json_schema_extra={"minProperties": 1})

    # Left out is not null.
    role: Role = Field(default=cast("Role", None))
    name: DisplayName = Field(default=cast("str", None))
    expires_at: _Moment | None = None
    limits: KeyLimits = Field(default=cast("KeyLimits", None))
    user_limits: GivenSpendLimits | None = None

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Body should have at least one of the fields to change")
        return self

    def in_record(self, key: ApiKey) -> ApiKey:
        """`key` with what was given."""
        given: dict[str, Any] = {
            name: getattr(self, name) for name in self.model_fields_set - {"limits", "user_limits"}
        }
        if "expires_at" in given:
            given["expires_at"] = _seconds(self.expires_at)
        if "limits" in self.model_fields_set:
            given |= self.limits.given()
        if "user_limits" in self.model_fields_set:
            given["user_limits"] = self.user_limits.limits() if self.user_limits else {}
        return replace(key, **given)


def _seconds(moment: datetime | int | None) -> int | None:
    return int(moment.timestamp()) if isinstance(moment, datetime) else moment


class ManyNewKeys(BaseModel):
    """The body of POST /v1/keys/batch: keys for `names`, which may do the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: TenantId
    role: Role = Role.CALLER
    names: Annotated[list[DisplayName], Field(min_length=1, max_length=MOST_KEYS_AT_ONCE)]
    expires_at: _Moment | None = None
    limits: Annotated[KeyLimits, Field(default_factory=KeyLimits)]
    user_limits: Annotated[GivenSpendLimits, Field(default_factory=GivenSpendLimits)]

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        if len(set(self.names)) < len(self.names):
            raise ValueError("names should differ: each is how a key is known again")
        return self

    def to_terms(self) -> list[KeyTerms]:
        """The terms of each."""
        first = KeyTerms(
            tenant_id=self.tenant,
            role=self.role,
            name="",
            limits=self.limits.given(),
            user_limits=self.user_limits.limits(),
            expires_at=_seconds(self.expires_at),
        )
        return [replace(first, name=name) for name in self.names]


class Rotation(BaseModel):
    """The body of POST /v1/keys/{id}/rotate: until when the secret that the key has now is taken beside the new one.

    ISO 8601 with a time zone, or seconds since 1970; null is not at all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    old_secret_until: _Moment | None = None


class KeyQuery(BaseModel):
    """The query of GET /v1/keys: at most `limit` keys of `tenant`, those whose ids follow `after`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    tenant: Annotated[TenantId, Field(examples=["local"])]
    after: Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ShownKeyLimits(ShownSpendLimits):
    """What an API key may ask for, and spend."""

    requests_per_minute: int
    requests_per_day: int


class Key(TypedDict):
    """An API key, without its secret. Times are in seconds since 1970."""

    id: str
    object: Literal["key"]
    tenant: str
    role: Role
    name: str
    limits: ShownKeyLimits
    user_limits: Annotated[
        ShownSpendLimits, Field(description="Of each user whom its requests name; null: as the tenant says.")
    ]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    old_secret_until: Annotated[
        int | None, Field(description="Until when the secret before this one is taken, after a rotation.")
    ]


class CreatedKey(Key):
    """A new API key. `api_key` is shown in this answer and nowhere else."""

    api_key: str


class CreatedKeys(TypedDict):
    """New API keys, each shown in this answer and nowhere else; `not_made` are names to send again, if any are left."""

    object: Literal["list"]
    data: list[CreatedKey]
    not_made: list[str]


class Keys(TypedDict):
    """A page of keys; if it `has_more`, the last one's id as `after` asks for the next."""

    object: Literal["list"]
    data: list[Key]
    has_more: bool


class RevokedKey(TypedDict):
    """A key that is not accepted any more, within 60 s everywhere."""

    id: str
    object: Literal["key"]
    deleted: Literal[True]


@ROUTES.post(
    "/v1/keys",
    role=Role.MANAGER,
    example={"tenant": "local", "name": "Tutor bot", "limits": {"requests_per_minute": 30}},
    errors={404, 409},
    status=HTTPStatus.CREATED,
)
def create_key(call: Call[NewKey]) -> CreatedKey:
    """Make an API key.

    A manager or an operator makes them for its own tenant, and gives them neither a role nor limits beyond its own.
    """
    key, token = call.app.administration.create_key(call.body.to_terms(), call.actor)
    return {**_shown(key, call.app.settings), "api_key": token.text}


@ROUTES.post(
    "/v1/keys/batch",
    role=Role.MANAGER,
    example={"tenant": "local", "names": ["Ada", "Grace"], "limits": {"budget_usd_per_month": 1}},
    errors={404, 409},
    status=HTTPStatus.CREATED,
)
def create_keys(call: Call[ManyNewKeys]) -> CreatedKeys:
    """Make up to a hundred API keys at once, which may do the same: one for each pupil of a class.

    Each is an API key as `POST /v1/keys` makes it, with the same bounds.
    """
    made, not_made = call.app.administration.create_keys(call.body.to_terms(), call.actor)
    data: list[CreatedKey] = [{**_shown(key, call.app.settings), "api_key": token.text} for key, token in made]
    return {"object": "list", "data": data, "not_made": not_made}


@ROUTES.post(
    "/v1/keys/{id}/rotate",
    role=Role.MANAGER,
    parameters=_ID,
    example={"old_secret_until": None},
    errors={404, 409},
)
def rotate_key(call: Call[Rotation]) -> CreatedKey:
    """Give an API key another secret.

    It is the same key: its id, limits, usage, files and conversations stay. The secret it had is taken until
    `old_secret_until`, within 90 days, and without it for 60 s at most. Rotated again meanwhile, it keeps the older
    secret, and the newest takes the place of the one between. A manager or an operator does so for keys of
    its own tenant that may do no more than it.
    """
    until = _seconds(call.body.old_secret_until)
    key, token = call.app.administration.rotate_key(call.path["id"], until, call.actor)
    return {**_shown(key, call.app.settings), "api_key": token.text}


@ROUTES.get("/v1/keys", role=Role.MANAGER, errors={404})
def list_keys(call: Call[None, KeyQuery]) -> Keys:
    """List a tenant's API keys.

    A manager's or an operator's own tenant's, or those of any for an admin.
    """
    tenant = reached(call.query.tenant, call.principal)
    page = call.app.directory.keys(tenant, after=call.query.after, limit=call.query.limit)
    shown = [_shown(key, call.app.settings) for key in page.entries]
    return {"object": "list", "data": shown, "has_more": page.has_more}


@ROUTES.patch(
    "/v1/keys/{id}",
    role=Role.MANAGER,
    parameters=_ID,
    example={"name": "Tutor bot, evenings", "limits": {"requests_per_minute": 10}},
    errors={409},
)
def change_key(call: Call[KeyChange]) -> Key:
    """Change an API key, within 60 s everywhere.

    A revoked one stays as it is. A manager or an operator changes keys of its own tenant that may do no more than it,
    and gives them neither a role nor limits beyond its own.
    """
    key = call.app.administration.change_key(call.path["id"], call.body.in_record, call.actor)
    return _shown(key, call.app.settings)


@ROUTES.delete("/v1/keys/{id}", role=Role.MANAGER, parameters=_ID)
def revoke_key(call: Call) -> RevokedKey:
    """Revoke an API key, within 60 s everywhere.

    Doing it again changes nothing. A manager or an operator revokes keys of its own tenant that may do no more than it.
    """
    key = call.app.administration.revoke_key(call.path["id"], call.actor)
    return {"id": key.id, "object": "key", "deleted": True}


def _shown(key: ApiKey, settings: Settings) -> Key:
    return {
        "id": key.id,
        "object": "key",
        "tenant": key.tenant_id,
        "role": key.role,
        "name": key.name,
        "limits": {
            "requests_per_minute": key.requests_per_minute or settings.requests_per_minute,
            "requests_per_day": key.requests_per_day or settings.requests_per_day,
            **shown(key.spend_limits),
        },
        "user_limits": shown_of_users(key.user_limits),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "old_secret_until": key.old_secret_until,
    }
