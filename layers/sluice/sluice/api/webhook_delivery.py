"""Messages of the queue of webhooks."""

from typing import TYPE_CHECKING

from sluice.api.messages import MessageHandler, message_handler
from sluice.webhooks.messages import read_delivery

if TYPE_CHECKING:
    from sluice.composition import App


def delivery_handler(app: "App") -> MessageHandler:
    """The entry point of the function that delivers events."""
    deliverer = app.webhook_deliverer
    return message_handler(lambda message: deliverer.deliver(read_delivery(message.body)))
