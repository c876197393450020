"""OpenAI's vector stores, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api.rest import lambda_handler
from sluice.api.vector_stores import files, routes
from sluice.composition import App

ROUTES = (*routes.ROUTES, *files.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
