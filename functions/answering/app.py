"""Questions about what was used, what is left and what documents say, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import answering
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = tuple(answering.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
