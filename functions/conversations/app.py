"""Conversations, for the callers who had them, behind API Gateway."""

from sluice.api.conversations import ROUTES
from sluice.api.rest import lambda_handler
from sluice.composition import App

handler = lambda_handler(ROUTES, App.from_environment())
