"""Quotas, health, caches and providers, for operators, behind API Gateway."""

from sluice.api import providers
from sluice.api.compat import groq
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*groq.ROUTES, *providers.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
