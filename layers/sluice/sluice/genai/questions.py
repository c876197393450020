"""What POST /api/v1/questions/generate does."""

from typing import cast

from sluice.chat import JsonObject
from sluice.gateway import RequestContext
from sluice.genai.answers import TaskAnswer, account, named
from sluice.genai.requests import TaskInputs
from sluice.http.authentication import Principal
from sluice.tasks.running import Runner, TaskRequest

_TASK = "question_generation"


def generated(runner: Runner, request: TaskInputs, principal: Principal, context: RequestContext) -> TaskAnswer:
    """Exactly as many questions as are asked for. Raises InvalidAnswerError as the task does."""
    with named("role"):
        result = runner.run(_TASK, TaskRequest(inputs=request.inputs), principal, context)
    return TaskAnswer({**cast("JsonObject", result.body["output"]), **account(result)}, result.headers)
