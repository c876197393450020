"""OpenAI's embeddings, whose answers may be longer than a function that does not stream can give.

An ASGI app for the Lambda Web Adapter; `handler` answers the same route whole.
"""

# While Lambda starts the function, rather than in its first request.
import sluice.gateway.embeddings  # noqa: F401
from sluice.api import embeddings
from sluice.api.asgi import AsgiApp
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*embeddings.ROUTES,)

parts = App.from_environment()
app = AsgiApp(ROUTES, parts)
handler = lambda_handler(ROUTES, parts)
