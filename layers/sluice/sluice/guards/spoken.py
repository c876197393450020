"""What a message says, as one text: what guard models are given to judge. Pure."""

from sluice.chat import JsonObject, Message
from sluice.guards.strings import MOST_VALUES, SEPARATOR, read
from sluice.guards.work import WorkMeter


def spoken(message: Message | JsonObject) -> str:
    """All that a message says, its tool calls and parts included, and what its texts are Base64 of."""
    value = message.model_dump(exclude_unset=True) if isinstance(message, Message) else message
    said = {name: each for name, each in value.items() if name != "role"}
    texts = read(said, WorkMeter(MOST_VALUES)).texts
    return "\n".join(text.said.replace(SEPARATOR, "\n") for text in texts if not text.is_joined)
