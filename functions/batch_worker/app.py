"""Asks the lines of batches, by messages of a queue."""

from sluice.api import chat, embeddings, tasks
from sluice.api.batch_lines import line_handler
from sluice.api.responses import routes as responses
from sluice.composition import App

LINE_ROUTES = (*chat.ROUTES, *responses.ROUTES, *embeddings.ROUTES, *tasks.ROUTES)

handler = line_handler(LINE_ROUTES, App.from_environment())
