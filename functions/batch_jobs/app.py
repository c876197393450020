"""Splits, watches and closes batches, by messages of a queue."""

from sluice.api import chat, embeddings, tasks
from sluice.api.batch_lines import job_handler
from sluice.composition import App

LINE_ROUTES = (*chat.ROUTES, *embeddings.ROUTES, *tasks.ROUTES)

handler = job_handler(LINE_ROUTES, App.from_environment())
