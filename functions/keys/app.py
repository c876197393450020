"""API keys, tenants, the audit log, webhook endpoints and sources of documents, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import audit, ingest, ingest_coverage, keys, tenants, webhooks
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*tenants.ROUTES, *keys.ROUTES, *audit.ROUTES, *webhooks.ROUTES, *ingest.ROUTES, *ingest_coverage.ROUTES)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
