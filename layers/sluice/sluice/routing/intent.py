"""How hard a request is, judged by rules and never by a model. Pure."""

from enum import StrEnum

from sluice.catalog.model import Tier
from sluice.chat import ChatRequest

# The source of both: prompts of up to 1,000 characters are answered well by small models.
_COMPLEX_OVER_CHARACTERS = 1000
_MEDIUM_OVER_CHARACTERS = 200


class Complexity(StrEnum):
    """How much a request asks of a model."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"

    @property
    def tier(self) -> Tier:
        """The tier of models that such a request goes to."""
        return Tier.SMART if self is Complexity.COMPLEX else Tier.FAST


def classify(request: ChatRequest) -> Complexity:
    """Judge by the length of what is said (not of the tenant's own system prompt) and by its shape.

    Tools and JSON schemas ask for care, and make a request medium at least.
    """
    characters = sum(len(message.text) for message in request.messages if message.role not in {"system", "developer"})
    if characters > _COMPLEX_OVER_CHARACTERS:
        return Complexity.COMPLEX
    has_schema = request.response_format is not None and request.response_format.type == "json_schema"
    if characters > _MEDIUM_OVER_CHARACTERS or has_schema or (request.model_extra or {}).get("tools"):
        return Complexity.MEDIUM
    return Complexity.SIMPLE
