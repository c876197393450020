"""Prompt types: the tasks for operations that one text is enough for."""

from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.tasks.fields import JsonField, StringField, object_schema
from sluice.tasks.library import Library
from sluice.tasks.task import Task

_GROUP = "operations"


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
    if name not in types:
        raise InvalidRequestError(f"prompt_type: must be one of {', '.join(types)}.", param="prompt_type")
    return types[name]


def prompt_types(library: Library) -> JsonObject:
    """All prompt types. `prompt_is` names the input that a prompt becomes; a task's own route takes the others too."""
    return {
        "object": "list",
        "data": [
            {
                "prompt_type": task.name,
                "description": task.file.description,
                "prompt_is": main,
                "output_format": task.file.output.format,
                "input_schema": object_schema(task.file.inputs),
            }
            for task, main in types_by_name(library).values()
        ],
    }


def types_by_name(library: Library) -> dict[str, tuple[Task, str]]:
    """The tasks that are prompt types, each with its main input."""
    return {task.name: (task, main) for task in library.shared() if (main := main_input(task))}
