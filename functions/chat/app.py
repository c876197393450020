"""OpenAI-compatible chat and models."""

from mangum import Mangum
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def list_models(_request: Request) -> JSONResponse:
    """GET /v1/models."""
    return JSONResponse({"object": "list", "data": []})


app = Starlette(routes=[Route("/v1/models", list_models)])
handler = Mangum(app, lifespan="off")
