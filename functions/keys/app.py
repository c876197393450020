"""API keys, tenants, the audit log and webhook endpoints, behind API Gateway."""

from sluice.api import audit, keys, tenants, webhooks
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*tenants.ROUTES, *keys.ROUTES, *audit.ROUTES, *webhooks.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
