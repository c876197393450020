"""API keys and tenants, behind API Gateway."""

from sluice.api import keys, tenants
from sluice.api.rest import lambda_handler
from sluice.composition import App

handler = lambda_handler((*tenants.ROUTES, *keys.ROUTES), App.from_environment())
