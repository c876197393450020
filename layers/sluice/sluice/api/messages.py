"""Messages of a queue as a Lambda function gets them: each is done with or comes again, whatever the others do."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from sluice.errors import SluiceError, StorageUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.telemetry.metrics import emit_metric
from sluice.telemetry.request_ids import RequestIds

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
logger.registered_handler.addFilter(RequestIds())

_PAUSES_S = (1.0, 4.0)
MOST_RECEIVES = 5
"""How often a message is received before it goes to its queue's dead letters, as template.yaml says."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and the moment of the monotonic clock at which the function is ended.

    `is_last_try`: if it fails, or whoever works on it dies, it goes to the dead letters.
    """

    body: str
    ends_at_s: float
    is_last_try: bool


type MessageHandler = Callable[[dict[str, Any], "LambdaContext"], Any]


def message_handler(handle: Callable[[Message], None]) -> MessageHandler:
    """The entry point of a function that SQS invokes.

    What `handle` raises has the message come again, and in the end go to the queue's dead letters.
    """

    @logger.inject_lambda_context(log_event=False)
    def on_messages(event: dict[str, Any], context: "LambdaContext") -> Any:
        # What invokes a function locally may have no such context.
        remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
        ends_at_s = math.inf if remaining_ms is None else time.monotonic() + remaining_ms() / 1000

        def on_message(record: SQSRecord) -> None:
            try:
                receives = int(record.attributes.approximate_receive_count)
                _patiently(handle, Message(record.body, ends_at_s, receives >= MOST_RECEIVES))
            except Exception as error:
                # Not what an unexpected error says: it may hold some of what was asked.
                reason = error.message if isinstance(error, SluiceError) else type(error).__name__
                logger.warning("a message failed", extra={"message_id": record.message_id, "reason": reason})
                emit_metric("MessageFailed")
                raise

        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event=event, record_handler=on_message, processor=processor, context=context)

    return on_messages


def _patiently(handle: Callable[[Message], None], message: Message) -> None:
    """Handle a message, and once more where storage did not answer: else it comes again only when it is visible."""
    for pause_s in _PAUSES_S:
        try:
            handle(message)
        except StorageUnavailableError:
            if time.monotonic() + pause_s >= message.ends_at_s:
                raise
            time.sleep(pause_s)
        else:
            return
    handle(message)
