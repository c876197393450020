"""OpenAI's files and batches, behind API Gateway."""

import sluice.api.starting  # noqa: F401 -- before all else
from sluice.api import batches, files
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*files.ROUTES, *batches.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
