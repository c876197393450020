"""OpenAI's embeddings, whose answers may be longer than a function that does not stream can give.

`asgi_app` is for the Lambda Web Adapter; `handler` answers the same route whole.
"""

from typing import TYPE_CHECKING

import sluice.api.starting

# While Lambda starts the function, rather than in its first request.
import sluice.gateway.embeddings  # noqa: F401
from sluice.api import embeddings
from sluice.api.rest import lambda_handler
from sluice.composition import App

if TYPE_CHECKING:
    from sluice.api.asgi import AsgiApp

ROUTES = (*embeddings.ROUTES,)

parts = App.from_environment()
handler = lambda_handler(ROUTES, parts)


def asgi_app() -> "AsgiApp":
    """The routes as an ASGI app: only what serves one loads what that takes."""
    from sluice.api.asgi import AsgiApp

    return AsgiApp(ROUTES, parts)
