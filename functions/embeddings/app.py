"""OpenAI's embeddings, whose answers may be longer than a function that does not stream can give.

`asgi_app` is for the Lambda Web Adapter; `handler` answers the same route whole.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import sluice.loading.starting as starting
from sluice.api import embeddings
from sluice.api.rest import lambda_handler
from sluice.composition import App

if TYPE_CHECKING:
    from sluice.api.asgi import AsgiApp

# While Lambda starts the function, rather than in its first request.
import_module("sluice.gateway.embeddings")

ROUTES = (*embeddings.ROUTES,)

parts = App.from_environment()
handler = starting.started(lambda_handler(ROUTES, parts))


def asgi_app() -> "AsgiApp":
    """The routes as an ASGI app: only what serves one loads what that takes."""
    from sluice.api.asgi import AsgiApp

    return AsgiApp(ROUTES, parts)
