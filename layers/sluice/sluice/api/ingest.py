"""Sources of Jira and GitHub: for operators of their tenant."""

import time
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sluice.api.route import Call, PathParameter, Routes
from sluice.api.tenant_names import DisplayName
from sluice.errors import InvalidRequestError
from sluice.ingestion.messages import Forget
from sluice.ingestion.secret import LEAST_SECRET_CHARACTERS, MOST_SECRET_CHARACTERS, new_secret
from sluice.ingestion.source import Source, SourceType
from sluice.ingestion.source import SourceOptions as OptionsRecord
from sluice.ingestion.source_store import NewSource, SourceChange
from sluice.tenants.tenant import Role
from sluice.tenants.verification import ADMIN_ID
from sluice.validation.text import IN_ANY_CASE

ROUTES = Routes("Ingestion")

_ID = {"source_id": PathParameter("The source's id.", "src_school.019a00000000000000000000")}

type _Secret = Annotated[
    str,
    Field(
        min_length=LEAST_SECRET_CHARACTERS,
        max_length=MOST_SECRET_CHARACTERS,
        pattern=r"^[!-~]+$",
        description="What the source signs with; without it one is made.",
    ),
]
type _StoreId = Annotated[str, Field(min_length=1, max_length=128)]
type _Projects = Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]], Field(max_length=200)]
type _Fields = Annotated[list[Annotated[str, Field(pattern=r"^customfield_[0-9]{1,18}$")]], Field(max_length=100)]
type _Repository = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}/([A-Za-z0-9._-]{1,100}|\*)$", max_length=201)
]
type _Repositories = Annotated[list[_Repository], Field(max_length=200)]


class SourceOptions(BaseModel):
    """What is taken of a source; an empty list takes all.

    `projects` are keys of Jira projects, `custom_fields` those that are part of an issue's text, `repositories` are
    `owner/name`, or `owner/*`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    projects: _Projects = []
    custom_fields: _Fields = []
    repositories: _Repositories = []

    @property
    def record(self) -> OptionsRecord:
        """The options as a source has them."""
        return OptionsRecord(
            projects=tuple(self.projects),
            custom_fields=tuple(self.custom_fields),
            repositories=tuple(self.repositories),
        )


class NewIngestSource(BaseModel):
    """The body of POST /v1/ingest/sources."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: Annotated[SourceType, IN_ANY_CASE]
    name: DisplayName
    vector_store_id: _StoreId
    secret: _Secret | None = None
    options: SourceOptions = SourceOptions()


class IngestSourceChange(BaseModel):
    """The body of POST /v1/ingest/sources/{source_id}: what is not given stays."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: DisplayName | None = None
    vector_store_id: _StoreId | None = None
    options: SourceOptions | None = None
    enabled: bool | None = None


class SourceSecretRotation(BaseModel):
    """The body of POST /v1/ingest/sources/{source_id}/rotate_secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    secret: _Secret | None = None
    keep_old_secret_active_for_24_hours: bool = False


class ShownSourceOptions(TypedDict):
    """What is taken of a source; an empty list takes all."""

    projects: list[str]
    custom_fields: list[str]
    repositories: list[str]


class IngestSource(TypedDict):
    """Where events come from, and the vector store that their documents go to. Times are in seconds since 1970.

    `path` is where it sends its events, below the address of the API. Documents are written with the rights and the
    budget of `api_key_id`, the key that changed it last.
    """

    id: str
    object: Literal["ingest.source"]
    type: SourceType
    name: str
    vector_store_id: str
    path: str
    options: ShownSourceOptions
    enabled: bool
    secret_hint: str
    previous_secret_until: int | None
    api_key_id: str
    created_at: int
    updated_at: int


class IngestSourceWithSecret(IngestSource):
    """A source with its secret, which is shown in this answer and nowhere else."""

    secret: str


class IngestSources(TypedDict):
    """All sources of a tenant, the oldest first."""

    object: Literal["list"]
    data: list[IngestSource]


class DeletedIngestSource(TypedDict):
    """A source that is gone."""

    id: str
    object: Literal["ingest.source.deleted"]
    deleted: Literal[True]


@ROUTES.post(
    "/v1/ingest/sources",
    role=Role.OPERATOR,
    example={
        "type": "github",
        "name": "Our repositories",
        "vector_store_id": "vs_019a000000007000800000000000000a",
        "options": {"repositories": ["octo-org/*"]},
    },
    errors={404, 409},
)
def create_ingest_source(call: Call[NewIngestSource]) -> IngestSourceWithSecret:
    """Have texts of Jira or GitHub go into a vector store.

    The answer has the path that the webhook is sent to, and the secret that it signs with. A tenant has twenty sources
    at most.
    """
    asked = call.body
    if call.principal.tenant.id == ADMIN_ID:
        raise InvalidRequestError("A source is a tenant's: make it with a key of that tenant, of the role operator.")
    call.app.stores.find(call.principal.tenant.id, asked.vector_store_id)
    secret = asked.secret or new_secret()
    new = NewSource(
        type=asked.type,
        name=asked.name,
        vector_store_id=asked.vector_store_id,
        secret=secret,
        options=asked.options.record,
    )
    return {**_shown(call.app.ingest_sources.create(new, call.actor)), "secret": secret}


@ROUTES.get("/v1/ingest/sources", role=Role.OPERATOR)
def list_ingest_sources(call: Call) -> IngestSources:
    """List one's tenant's sources, the oldest first."""
    found = call.app.ingest_sources.all(call.principal.tenant.id)
    return {"object": "list", "data": [_shown(each) for each in found]}


@ROUTES.get("/v1/ingest/sources/{source_id}", role=Role.OPERATOR, parameters=_ID)
def get_ingest_source(call: Call) -> IngestSource:
    """Show a source."""
    return _shown(call.app.ingest_sources.get(call.principal.tenant.id, call.path["source_id"]))


@ROUTES.post(
    "/v1/ingest/sources/{source_id}",
    role=Role.OPERATOR,
    parameters=_ID,
    example={"enabled": False},
    errors={409},
)
def change_ingest_source(call: Call[IngestSourceChange]) -> IngestSource:
    """Change a source.

    What it sends from now on is written with the rights, and the budget, of the key that changes it. Documents that
    came in stay in the vector store that they are in.
    """
    asked, source_id, sources = call.body, call.path["source_id"], call.app.ingest_sources
    before = sources.get(call.principal.tenant.id, source_id)
    if asked.vector_store_id is not None:
        call.app.stores.find(call.principal.tenant.id, asked.vector_store_id)
    changed = SourceChange(
        name=asked.name,
        vector_store_id=asked.vector_store_id,
        options=asked.options.record if asked.options else None,
        is_enabled=asked.enabled,
    )
    after = sources.change(source_id, changed, call.actor)
    if after.vector_store_id != before.vector_store_id:
        _forget(call, before)
    return _shown(after)


@ROUTES.delete("/v1/ingest/sources/{source_id}", role=Role.OPERATOR, parameters=_ID, errors={409})
def delete_ingest_source(call: Call) -> DeletedIngestSource:
    """Delete a source.

    What it sends from now on is refused. Documents that came in stay in their vector store.
    """
    source_id = call.path["source_id"]
    _forget(call, call.app.ingest_sources.delete(source_id, call.actor))
    return {"id": source_id, "object": "ingest.source.deleted", "deleted": True}


@ROUTES.post(
    "/v1/ingest/sources/{source_id}/rotate_secret",
    role=Role.OPERATOR,
    parameters=_ID,
    example={"keep_old_secret_active_for_24_hours": True},
    errors={409},
)
def rotate_ingest_secret(call: Call[SourceSecretRotation]) -> IngestSourceWithSecret:
    """Give a source another secret.

    The former one ends at once, or is taken beside the new one for a day.
    """
    secret = call.body.secret or new_secret()
    source = call.app.ingest_sources.rotate(
        call.path["source_id"], secret, call.actor, keeps_old=call.body.keep_old_secret_active_for_24_hours
    )
    return {**_shown(source), "secret": secret}


def _forget(call: Call[IngestSourceChange] | Call, source: Source) -> None:
    call.app.ingest_queue.send(Forget.of(source).model_dump(mode="json"), group=source.tenant)


def _shown(source: Source) -> IngestSource:
    is_overlapping = source.previous_sealed is not None and source.previous_until > time.time()
    return {
        "id": source.id,
        "object": "ingest.source",
        "type": source.type,
        "name": source.name,
        "vector_store_id": source.vector_store_id,
        "path": source.path,
        "options": {
            "projects": list(source.options.projects),
            "custom_fields": list(source.options.custom_fields),
            "repositories": list(source.options.repositories),
        },
        "enabled": source.is_enabled,
        "secret_hint": f"...{source.hint}",
        "previous_secret_until": source.previous_until if is_overlapping else None,
        "api_key_id": source.caller,
        "created_at": source.created_at,
        "updated_at": source.updated_at,
    }
