"""API keys, tenants, the audit log, webhook endpoints and sources of documents, behind API Gateway."""

import sluice.api.starting  # noqa: F401 -- before all else
from sluice.api import audit, ingest, ingest_coverage, keys, tenants, webhooks
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*tenants.ROUTES, *keys.ROUTES, *audit.ROUTES, *webhooks.ROUTES, *ingest.ROUTES, *ingest_coverage.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
