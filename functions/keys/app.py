"""API keys, tenants and the audit log, behind API Gateway."""

from sluice.api import audit, keys, tenants
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*tenants.ROUTES, *keys.ROUTES, *audit.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
