"""Interview questions: POST /api/v1/questions/generate."""

from typing import Annotated, TypedDict, cast

from pydantic import Field

from sluice.api.compat.task_account import TaskAccount, TaskInputs, account, named
from sluice.api.route import Call, Reply, Routes
from sluice.tasks.running import TaskRequest
from sluice.tenants.tenant import Role

ROUTES = Routes("Interviews")

_TASK = "question_generation"


class InterviewQuestion(TypedDict):
    """A question, the topic it belongs to, and what a good answer to it says."""

    question: str
    category: str
    expected_points: list[str]


class FoundQuestions(TypedDict):
    """The output of the task."""

    questions: Annotated[list[InterviewQuestion], Field(min_length=1)]
    from_bank: Annotated[int, Field(description="How many of them no model was asked for.")]
    rejected: Annotated[int, Field(description="How many of the model's were no good.")]


class InterviewQuestions(TaskAccount, FoundQuestions):
    """Exactly as many questions as were asked for, no two of them the same."""


@ROUTES.post("/api/v1/questions/generate", role=Role.CALLER, task=_TASK, asks_a_model=True)
def generate_questions(call: Call[TaskInputs]) -> Reply[InterviewQuestions]:
    """Find or write interview questions."""
    with named("role"):
        asked = TaskRequest(inputs=call.body.inputs, user=call.labels.user)
        result = call.app.task_runner.run(_TASK, asked, call.principal, call.context)
    found = cast("FoundQuestions", result.body["output"])
    return Reply({**found, **account(result)}, result.provenance)
