"""Prompt types, the tasks for operations that one text is enough for: /api/v1/genai/prompts."""

from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.api.compat.genai.validation import CheckedPrompt, PromptReport, check_as_input, fill
from sluice.api.route import Call, Routes
from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.gateway.tenant_settings import TenantSettings
from sluice.tasks.fields import JsonField, StringField, object_schema
from sluice.tasks.library import Library
from sluice.tasks.task import Task
from sluice.tenants.tenant import Role

ROUTES = Routes("Operations assistant")

_GROUP = "operations"


class PromptCheck(BaseModel):
    """The body of POST prompts/validate: a template, and what its variables hold.

    With a `prompt_type`, it is a prompt that is to be sent to POST custom as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    prompt: Annotated[str, Field(max_length=50_000)]
    variables: Annotated[dict[str, JsonValue], Field(max_length=50)] = Field(default_factory=dict)
    prompt_type: Annotated[str, Field(max_length=64)] | None = None


class PromptType(TypedDict):
    """A task that one text is enough for; `prompt_is` names the input that the prompt becomes.

    The task's own route takes its other inputs too.
    """

    prompt_type: str
    description: str
    prompt_is: str
    output_format: Literal["text", "json"]
    input_schema: JsonObject


class PromptTypes(TypedDict):
    """The types of prompts."""

    object: Literal["list"]
    data: list[PromptType]


@ROUTES.get("/api/v1/genai/prompts/types", role=Role.CALLER)
def genai_prompt_types(call: Call) -> PromptTypes:
    """List the types of prompts."""
    types = types_by_name(call.app.task_library).values()
    return {"object": "list", "data": [_shown(task, main) for task, main in types]}


@ROUTES.post(
    "/api/v1/genai/prompts/validate",
    role=Role.CALLER,
    example={"prompt": "Explain {{ issue }}.", "variables": {"issue": "too many clients"}},
)
def genai_validate_prompt(call: Call[PromptCheck]) -> CheckedPrompt:
    """Say what is wrong with a prompt."""
    asked, found = call.body, PromptReport()
    text: str | None = asked.prompt
    if asked.prompt_type is None:
        text = fill(asked.prompt, asked.variables, found)
    elif asked.variables:
        found.error("variables: must be left out with a prompt_type; a prompt is sent as it is.", "variables")
    else:
        task, main = prompt_type(call.app.task_library, asked.prompt_type)
        check_as_input(asked.prompt, task, main, found)
    if text is not None:
        settings = call.app.settings
        modes = TenantSettings.of(call.principal.tenant, settings).guard_modes
        found.judge(text, modes, settings.prompt_max_characters)
    return found.shown()


def main_input(task: Task) -> str | None:
    """The one input that has to be given, if it takes a text. A task without one is no prompt type."""
    required = [(name, field) for name, field in task.file.inputs.items() if field.required]
    if task.file.group != _GROUP or len(required) != 1:
        return None
    name, field = required[0]
    takes_text = isinstance(field, StringField | JsonField)
    return name if takes_text else None


def prompt_type(library: Library, name: str) -> tuple[Task, str]:
    """The task that a prompt type is, and its main input; InvalidRequestError if there is no such type."""
    types = types_by_name(library)
    wanted = name.strip().lower()
    if wanted not in types:
        raise InvalidRequestError(f"prompt_type: must be one of {', '.join(types)}.", param="prompt_type")
    return types[wanted]


def types_by_name(library: Library) -> dict[str, tuple[Task, str]]:
    """The tasks that are prompt types, each with its main input."""
    return {task.name: (task, main) for task in library.shared() if (main := main_input(task))}


def _shown(task: Task, main: str) -> PromptType:
    return {
        "prompt_type": task.name,
        "description": task.file.description,
        "prompt_is": main,
        "output_format": task.file.output.format,
        "input_schema": object_schema(task.file.inputs),
    }
