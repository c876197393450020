"""The description of this API: GET /openapi.json."""

from typing import Annotated, TypedDict, cast

from pydantic import Field

from sluice.api.route import Call, Reply, Routes
from sluice.chat import JsonObject

ROUTES = Routes("This document")

# For how long clients and proxies may keep it: it changes with a deployment only.
_KEPT_S = 300


class OpenApiDocument(TypedDict):
    """An OpenAPI 3.1 document."""

    openapi: Annotated[str, Field(pattern=r"^3\.1\.")]
    info: JsonObject
    paths: JsonObject


@ROUTES.get("/openapi.json", role=None)
def get_open_api_document(call: Call) -> Reply[OpenApiDocument]:
    """Describe this API."""
    # Imported when somebody asks for it: it needs the routes of all functions.
    from sluice.api.openapi.document import document

    return Reply(cast("OpenApiDocument", document()), headers={"cache-control": f"public, max-age={_KEPT_S}"})
