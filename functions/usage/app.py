"""What tenants, API keys and users have used, and what they have left, behind API Gateway."""

from sluice.api import allowances, usage, usage_groups
from sluice.api.compat import dashboard
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*usage.ROUTES, *usage_groups.ROUTES, *dashboard.ROUTES, *allowances.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
