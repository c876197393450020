"""OpenAI's chats, responses, text completions, moderations and models, and Anthropic's messages.

And the flat chat API, and the description of all routes.

`asgi_app` is for the Lambda Web Adapter, behind which answers stream; `handler` answers the same routes whole.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

import sluice.loading.starting as starting
from sluice.api import chat, description, models
from sluice.api.anthropic import routes as messages
from sluice.api.compat import llm
from sluice.api.completions import routes as completions
from sluice.api.moderations import routes as moderations
from sluice.api.responses import routes as responses
from sluice.api.rest import lambda_handler
from sluice.composition import App

if TYPE_CHECKING:
    from sluice.api.asgi import AsgiApp

# While Lambda starts the function, rather than in its first request.
import_module("sluice.gateway.pipeline")

ROUTES = (
    *chat.ROUTES,
    *responses.ROUTES,
    *messages.ROUTES,
    *completions.ROUTES,
    *moderations.ROUTES,
    *models.ROUTES,
    *llm.ROUTES,
    *description.ROUTES,
)

parts = App.from_environment()
handler = starting.started(lambda_handler(ROUTES, parts))

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # What is made now is in the snapshot, and need not be made by the first request after each restore.
    parts.prepare()


def asgi_app() -> "AsgiApp":
    """The routes as an ASGI app: only what serves one loads what that takes."""
    from sluice.api.asgi import AsgiApp

    return AsgiApp(ROUTES, parts)
