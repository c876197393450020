"""Receives events of Jira and GitHub."""

import sluice.loading.starting as starting
from sluice.api.ingest_receiving import ROUTES
from sluice.api.rest import lambda_handler
from sluice.composition import App

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
