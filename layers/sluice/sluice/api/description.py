"""The description of this API: GET /openapi.json."""

from typing import Annotated, TypedDict, cast

from pydantic import Field

from sluice.api.route import Call, Reply, Route
from sluice.chat import JsonObject

# For how long clients and proxies may keep it: it changes with a deployment only.
_KEPT_S = 300


class OpenApiDocument(TypedDict):
    """An OpenAPI 3.1 document."""

    openapi: Annotated[str, Field(pattern=r"^3\.1\.")]
    info: JsonObject
    paths: JsonObject


def describe_api(_: Call) -> Reply[OpenApiDocument]:
    """GET /openapi.json, for anybody."""
    # Imported when somebody asks for it: it needs the routes of all functions.
    from sluice.api.openapi.document import document

    return Reply(cast("OpenApiDocument", document()), headers={"cache-control": f"public, max-age={_KEPT_S}"})


ROUTES = (
    Route(
        id="getOpenApiDocument",
        method="GET",
        path="/openapi.json",
        tag="This document",
        summary="Describe this API",
        role=None,
        answer=OpenApiDocument,
        handler=describe_api,
    ),
)
