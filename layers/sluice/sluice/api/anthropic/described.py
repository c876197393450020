"""What the routes of the Messages API take and answer, by name: imported when one of them is first needed."""

from sluice.api.anthropic.answer_types import (
    AnswerMessage,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    MessageDelta,
    MessagePing,
    MessageStart,
    MessageStop,
    MessageTokenCount,
)
from sluice.api.anthropic.request_models import MessageRequest, TokenCountRequest

__all__ = [
    "AnswerMessage",
    "ContentBlockDelta",
    "ContentBlockStart",
    "ContentBlockStop",
    "MessageDelta",
    "MessagePing",
    "MessageRequest",
    "MessageStart",
    "MessageStop",
    "MessageTokenCount",
    "TokenCountRequest",
]
