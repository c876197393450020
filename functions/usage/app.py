"""What tenants, API keys and users have used, what they have left, and daily reports, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import allowances, me, reports, usage, usage_groups
from sluice.api.compat import dashboard
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*usage.ROUTES, *usage_groups.ROUTES, *dashboard.ROUTES, *allowances.ROUTES, *me.ROUTES, *reports.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
