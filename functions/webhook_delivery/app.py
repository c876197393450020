"""Delivers events to webhook endpoints, by messages of a queue."""

from sluice.api.webhook_delivery import delivery_handler
from sluice.composition import App

handler = delivery_handler(App.from_environment())
