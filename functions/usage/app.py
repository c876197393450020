"""Usage of API keys and users, behind API Gateway."""

from sluice.api.rest import lambda_handler
from sluice.api.usage import ROUTES
from sluice.composition import App

handler = lambda_handler(ROUTES, App.from_environment())
