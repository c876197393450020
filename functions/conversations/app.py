"""Conversations, for the callers who had them, and what operators do with them and users' data, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import conversations, oversight
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*conversations.ROUTES, *oversight.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
