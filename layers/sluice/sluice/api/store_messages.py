"""The entry point of the function that works on vector stores: messages of a queue, and what is due every hour."""

from typing import TYPE_CHECKING, Any

from sluice.api.messages import Message, MessageHandler, message_handler
from sluice.knowledge.messages import read_message

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from sluice.composition import App


def store_handler(app: "App") -> MessageHandler:
    """A handler of both. What fails raises: a message comes again, and so does the hour."""

    def on_message(message: Message) -> None:
        app.store_worker.do(read_message(message.body))

    on_messages = message_handler(on_message)

    def on_event(event: dict[str, Any], context: "LambdaContext") -> Any:
        if "Records" in event:
            return on_messages(event, context)
        return {"sent": app.store_work.send_due()}

    return on_event
