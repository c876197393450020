"""The body of POST /v1/moderations, and what it answers (https://platform.openai.com/docs/api-reference/moderations)."""

from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue

from sluice.chat import MAX_PARTS

MODEL = "sluice-guard-rules"
"""What judges: rules, and no model."""


class ModerationPart(BaseModel):
    """A part of what is to be judged; only texts are."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str
    text: str | None = None


class ModerationRequest(BaseModel):
    """The body of POST /v1/moderations. `model` is taken and not looked at: OpenAI's clients send one of OpenAI's."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input: (
        str
        | Annotated[list[str], Field(min_length=1, max_length=MAX_PARTS), FailFast()]
        | Annotated[list[ModerationPart], Field(min_length=1, max_length=MAX_PARTS), FailFast()]
    )
    model: JsonValue = None


class FoundRule(TypedDict):
    """A rule that found something, what the tenant has it do, and what it is about."""

    id: str
    mode: str
    description: str


class ModerationResult(TypedDict):
    """What the rules find in one text.

    `flagged`: a category is true, or a rule that blocks found something. A score is 1 where a rule found something and
    0 where none did: rules measure no likelihood. A category that no rule is about has no input types.
    """

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text"]]]
    rules: list[FoundRule]


class ModerationAnswer(TypedDict):
    """OpenAI's answer, with the rules that found something."""

    id: str
    model: Annotated[str, Field(description="Always `sluice-guard-rules`: no model judges.")]
    results: list[ModerationResult]
