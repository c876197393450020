"""Answers of tasks, as the API shows them."""

from typing import Annotated, Literal, NotRequired, TypedDict

from pydantic import Field, JsonValue

from sluice.routing.intent import Complexity


class TaskQuality(TypedDict):
    """How good an answer looks, each part from 0 to 1, computed without a model."""

    score: float
    length_fitness: float
    structure: float
    coverage: float
    response_time: float
    tokens: float


class TaskTokens(TypedDict):
    """Tokens of all calls that a task took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TaskResult(TypedDict):
    """What a run of a task came to."""

    object: Literal["task.result"]
    request_id: Annotated[str, Field(description="What feedback is given with.")]
    task: str
    version: str
    output: Annotated[JsonValue, Field(description="A text, or JSON that matches the task's schema.")]
    finish_reason: Annotated[str | None, Field(description="`stop`, or `length` if the output was cut off.")]
    model: Annotated[str | None, Field(description="null if no model was asked.")]
    complexity: Complexity | None
    usage: TaskTokens
    cost_usd: float
    cached: bool
    response_time_ms: int
    quality: TaskQuality
    conversation_id: NotRequired[str]


class FeedbackSum(TypedDict):
    """What was thought of a version's answers, from 1, bad, to 5, good."""

    count: int
    mean_score: float | None


class TaskVersionResults(TypedDict):
    """How a version did."""

    version: str
    requests: int
    failures: Annotated[int, Field(description="Those whose answer broke a rule, also when asked again: a 502.")]
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    mean_response_time_ms: float | None
    mean_quality: Annotated[float | None, Field(description="Of all requests; a failure's is 0.")]
    feedback: FeedbackSum


class TaskComment(TypedDict):
    """What somebody said of an answer."""

    request_id: str
    version: str
    score: int
    comment: str
