"""What callers of /api/v1/genai send."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.chat import AUTO
from sluice.conversations.conversation import ID_PATTERN
from sluice.usage.period import MOST_DAYS

MOST_BATCHED = 10
# A session's id is its conversation's.
_SESSION_PATTERN = f"^{ID_PATTERN}$"

type _User = Annotated[str, Field(min_length=1, max_length=128)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Talk(_Request):
    """What chat and custom have in common. Without a `session_id` one is made; `user` is the caller's own user."""

    session_id: Annotated[str, Field(pattern=_SESSION_PATTERN)] | None = None
    user: _User | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] = AUTO
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class GenaiChat(Talk):
    """The body of POST chat."""

    message: str
    context: JsonValue = None


class CustomPrompt(Talk):
    """The body of POST custom: a prompt of one of the types that GET prompts/types lists."""

    prompt: str
    prompt_type: Annotated[str, Field(max_length=64)]


class TaskInputs(BaseModel):
    """The body of POST remediation, analysis, explanation, optimization, troubleshooting: the inputs of that task."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, JsonValue]

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """By name."""
        return dict(self.__pydantic_extra__)


class Batch(_Request):
    """The body of POST batch. Each is the body of a custom prompt or of a chat; one that is wrong fails alone."""

    requests: Annotated[list[JsonValue], Field(min_length=1, max_length=MOST_BATCHED)]


class PromptCheck(_Request):
    """The body of POST prompts/validate: a template, and what its variables hold.

    With a `prompt_type`, it is a prompt that is to be sent to POST custom as it is.
    """

    prompt: Annotated[str, Field(max_length=50_000)]
    variables: Annotated[dict[str, JsonValue], Field(max_length=50)] = Field(default_factory=dict)
    prompt_type: Annotated[str, Field(max_length=64)] | None = None


class SessionQuery(_Request):
    """The query of GET and DELETE context/{session_id}: the user that the session was begun with."""

    user: _User | None = None


class StatsQuery(_Request):
    """The query of GET stats: how many UTC days, today's included."""

    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 30
