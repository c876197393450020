"""OpenAI's vector stores, behind API Gateway."""

from sluice.api import vector_store_files, vector_stores
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (*vector_stores.ROUTES, *vector_store_files.ROUTES)

handler = lambda_handler(ROUTES, App.from_environment())
