"""Receives events of Jira and GitHub."""

import sluice.api.starting  # noqa: F401 -- before all else
from sluice.api.ingest_receiving import ROUTES
from sluice.api.rest import lambda_handler
from sluice.composition import App

handler = lambda_handler(ROUTES, App.from_environment())
