"""Validation of prompts, before a model is asked."""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypedDict

from pydantic import JsonValue, TypeAdapter

from sluice.chat import Message
from sluice.errors import InvalidRequestError
from sluice.guards.prompt import check_prompt
from sluice.guards.rules import Mode
from sluice.loading.dataclass import dataclass
from sluice.tasks import spotlighting
from sluice.tasks.fields import InputField, check_inputs, check_nesting
from sluice.tasks.task import Task

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_FIELDS: TypeAdapter[dict[str, InputField]] = TypeAdapter(dict[str, InputField])
_MOST_CHARACTERS = 50_000
_MOST_ITEMS = 500
_LARGEST = 1e308


class PromptNote(TypedDict):
    """Something about a prompt."""

    message: str
    param: str
    code: str


class CheckedPrompt(TypedDict):
    """What is wrong with a prompt: `errors` keep it from being sent, `warnings` do not."""

    valid: bool
    errors: list[PromptNote]
    warnings: list[PromptNote]


@dataclass(frozen=True, slots=True)
class PromptReport:
    """What was found: `errors` keep a prompt from being sent, `warnings` do not."""

    errors: list[PromptNote] = field(default_factory=list)
    warnings: list[PromptNote] = field(default_factory=list)

    def shown(self) -> CheckedPrompt:
        """As the API shows it."""
        return {"valid": not self.errors, "errors": self.errors, "warnings": self.warnings}

    def error(self, message: str, param: str = "prompt", code: str = "invalid_prompt") -> None:
        """Note what has to be changed."""
        self.errors.append({"message": message, "param": param, "code": code})

    def warning(self, message: str, param: str = "prompt", code: str = "questionable_prompt") -> None:
        """Note what perhaps should be."""
        self.warnings.append({"message": message, "param": param, "code": code})

    def judge(self, text: str, modes: Mapping[str, Mode], most_characters: int) -> None:
        """Let the prompt guard look at a text, in a tenant's `modes`."""
        said = [Message.model_validate({"role": "user", "content": text})]
        for finding in check_prompt(said, max_characters=most_characters, modes=modes):
            note = self.error if finding.mode is Mode.BLOCK else self.warning
            note(f"prompt: {finding.message}.", code=finding.rule_id)


def check_as_input(prompt: str, task: Task, main: str, report: PromptReport) -> None:
    """Whether a prompt can be the input `main` of a task."""
    try:
        task.check_inputs({main: prompt})
    except InvalidRequestError as error:
        report.error(error.message.replace(f"inputs.{main}", "prompt", 1))


def fill(template: str, variables: Mapping[str, JsonValue], report: PromptReport) -> str | None:
    """The text that a template and its variables make; None, with the errors in `report`, if they make none.

    Templates are those of tasks: see tasks/grammar.py for what they may say.
    """
    # Imported late, see there.
    from sluice.tasks.grammar import TemplateError
    from sluice.tasks.template import compile_template

    for name in variables:
        if not _NAME.fullmatch(name):
            report.error(
                f"variables.{name[:64]}: must have a name of lower-case letters, digits and underscores.", "variables"
            )
    try:
        used = _variables_of(template)
    except TemplateError as error:
        report.error(f"prompt: {error}.")
        return None
    for name in sorted(used - variables.keys()):
        report.error(f"variables.{name}: is not given, and the prompt has a place for it.", f"variables.{name}")
    for name in sorted(variables.keys() - used):
        report.warning(
            f"variables.{name[:64]}: is given, and the prompt has no place for it.", f"variables.{name[:64]}"
        )
    if report.errors:
        return None
    try:
        fields = _FIELDS.validate_python({name: _field_for(value) for name, value in variables.items()})
        check_nesting(fields)
        inputs = check_inputs(fields, variables)
        boundary = spotlighting.boundary("prompt", inputs)
        return spotlighting.without_tags(compile_template(template, fields)(inputs, boundary))
    except TemplateError as error:
        report.error(f"prompt: {error}.")
    except InvalidRequestError as error:
        report.error(error.message.replace("inputs", "variables", 1), "variables")
    except ValueError as error:
        report.error(f"variables: {error}.", "variables")
    return None


def _variables_of(template: str) -> set[str]:
    """The names that a template reads and does not make itself. Raises TemplateError if it can't be read."""
    from jinja2 import nodes

    from sluice.tasks.template import parse_template

    names = list(parse_template(template).find_all(nodes.Name))
    made = {name.name for name in names if name.ctx != "load"}
    return {name.name for name in names} - made - {"loop"}


def _field_for(value: JsonValue, depth: int = 1) -> dict[str, Any]:
    """The input that takes a value of this kind, as a task file would declare it."""
    described = {"required": True, "description": "A variable."}
    match value:
        case bool():
            return {**described, "type": "boolean"}
        case int() | float():
            return {**described, "type": "number", "minimum": -_LARGEST, "maximum": _LARGEST}
        case str():
            return {**described, "type": "string", "min_length": 0, "max_length": _MOST_CHARACTERS}
        case list() if depth < 4:
            # A list is of one kind, that of its first item: a loop has to know what to expect.
            items = _field_for(value[0] if value else "", depth + 1)
            return {**described, "type": "list", "min_items": 0, "max_items": _MOST_ITEMS, "items": items}
        case dict() if value and depth < 4 and all(_NAME.fullmatch(name) for name in value):
            fields = {name: _field_for(inner, depth + 1) for name, inner in value.items()}
            return {**described, "type": "object", "fields": fields}
        case _:
            return {"description": "A variable.", "type": "json", "max_bytes": _MOST_CHARACTERS}
