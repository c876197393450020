"""API keys and tenants, for admins, behind API Gateway."""

from sluice.api import keys, tenants
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*tenants.ROUTES, *keys.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
