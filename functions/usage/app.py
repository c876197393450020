"""Usage of tenants, API keys and users, behind API Gateway."""

from sluice.api import usage, usage_groups
from sluice.api.compat import dashboard
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*usage.ROUTES, *usage_groups.ROUTES, *dashboard.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
