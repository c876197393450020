"""The functions that stream, in one process, as they are deployed: nothing of the tests' own is in their way."""

from starlette.types import Receive, Scope, Send

import functions.chat.app
import functions.embeddings.app
from sluice.api.asgi import AsgiApp
from sluice.composition import App

ROUTES = (*functions.chat.app.ROUTES, *functions.embeddings.app.ROUTES)


class ChatProcess:
    """The processes of the functions that stream, in one: an ASGI app that can start afresh."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Answer from now on as a fresh process does, with what the environment says now."""
        self.parts = App.from_environment()
        self._app = AsgiApp(ROUTES, self.parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)
