"""Routes of the function questions."""

from pydantic import Field

from sluice.api.openapi.genai import TaskAccount
from sluice.api.openapi.operation import Operation, Shown
from sluice.tenants.tenant import Role


class InterviewQuestion(Shown):
    """A question, the topic it belongs to, and what a good answer to it says."""

    question: str
    category: str
    expected_points: list[str]


class InterviewQuestions(TaskAccount):
    """Exactly as many questions as were asked for, no two of them the same."""

    questions: list[InterviewQuestion] = Field(min_length=1)
    from_bank: int = Field(description="How many of them no model was asked for.")
    rejected: int = Field(description="How many of the model's were no good.")


OPERATIONS = (
    Operation(
        id="generateQuestions",
        method="POST",
        path="/api/v1/questions/generate",
        tag="Interviews",
        summary="Find or write interview questions",
        role=Role.CALLER,
        task="question_generation",
        answer=InterviewQuestions,
        asks_a_model=True,
    ),
)
