"""Test cases for an exercise of a teaching platform: POST /api/tasks/{task_id}/generate-test-cases."""

from typing import Annotated, Literal, TypedDict, cast

from pydantic import Field

from sluice.api.compat.task_account import TaskAccount, TaskInputs, account, named
from sluice.api.route import Call, PathParameter, Reply, Routes
from sluice.tasks.running import TaskRequest
from sluice.tenants.tenant import Role

ROUTES = Routes("Teaching")

_TASK = "test_case_generation"
_ID = PathParameter("The exercise's id in the platform, which keeps it. The answer repeats it.", "exercise-7")


class ExerciseTestCase(TypedDict):
    """What a program reads, what it has to write, and what the case is for."""

    input: str
    expected_output: str
    description: str
    category: Literal["typical", "edge"]


class WrittenTestCases(TypedDict):
    """The output of the task."""

    test_cases: Annotated[list[ExerciseTestCase], Field(min_length=1)]
    requested: int
    rejected: Annotated[int, Field(description="How many of the model's were no good.")]


class GeneratedTestCases(TaskAccount, WrittenTestCases):
    """Test cases for an exercise, no two with the same input."""

    task_id: str


@ROUTES.post(
    "/api/tasks/{task_id}/generate-test-cases",
    role=Role.CALLER,
    parameters={"task_id": _ID},
    task=_TASK,
    asks_a_model=True,
)
def generate_test_cases(call: Call[TaskInputs]) -> Reply[GeneratedTestCases]:
    """Write test cases for an exercise."""
    with named("problem_statement"):
        asked = TaskRequest(inputs=call.body.inputs, user=call.labels.user)
        result = call.app.task_runner.run(_TASK, asked, call.principal, call.context)
    written = cast("WrittenTestCases", result.body["output"])
    return Reply({"task_id": call.path["task_id"], **written, **account(result)}, result.provenance)
