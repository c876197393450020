"""Quotas, health, caches, providers, budgets and how requests were answered, for operators, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import budgets, overview, providers, requests
from sluice.api.compat import ai_gateway, groq
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*groq.ROUTES, *ai_gateway.ROUTES, *providers.ROUTES, *requests.ROUTES, *overview.ROUTES, *budgets.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
