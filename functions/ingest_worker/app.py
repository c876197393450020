"""Makes documents of the events of Jira and GitHub, by messages of a queue."""

from sluice.api.ingest_worker import ingest_handler
from sluice.composition import App

handler = ingest_handler(App.from_environment())
