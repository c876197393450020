"""What POST /api/v1/questions/generate does."""

from typing import cast

from sluice.api.compat.genai.answers import TaskAnswer, account, named
from sluice.api.compat.genai.requests import TaskInputs
from sluice.chat import JsonObject
from sluice.gateway.request import RequestContext
from sluice.tasks.running import Runner, TaskRequest
from sluice.tenants.principal import Principal

_TASK = "question_generation"


def generated(runner: Runner, request: TaskInputs, principal: Principal, context: RequestContext) -> TaskAnswer:
    """Exactly as many questions as are asked for. Raises InvalidAnswerError as the task does."""
    with named("role"):
        result = runner.run(_TASK, TaskRequest(inputs=request.inputs), principal, context)
    return TaskAnswer({**cast("JsonObject", result.body["output"]), **account(result)}, result.provenance)
