"""Messages of the queue of ingestion."""

from typing import TYPE_CHECKING

from sluice.api.messages import Message, MessageHandler, message_handler
from sluice.ingestion.messages import read_message

if TYPE_CHECKING:
    from sluice.composition import App


def ingest_handler(app: "App") -> MessageHandler:
    """The entry point of the function that makes documents of events."""
    worker = app.ingest_worker

    def work(message: Message) -> None:
        worker.work(read_message(message.body), is_last_try=message.is_last_try)

    return message_handler(work)
