"""What tenants choose of their AI and think of insights, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import ai_configuration, ai_models, ai_preferences, insight_findings, integrations
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (
    *ai_configuration.ROUTES,
    *ai_preferences.ROUTES,
    *ai_models.ROUTES,
    *integrations.ROUTES,
    *insight_findings.ROUTES,
)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
