"""OpenAI's files and batches, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import batches, files
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*files.ROUTES, *batches.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
