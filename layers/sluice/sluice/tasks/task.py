"""A task: what its file says, checked, and what becomes of given inputs."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from sluice.chat import JsonObject, ResponseFormat
from sluice.errors import InvalidRequestError
from sluice.guards.structured_output import check_schema
from sluice.loading.dataclass import dataclass
from sluice.loading.toml import read_toml
from sluice.routing.intent import Complexity
from sluice.tasks import spotlighting
from sluice.tasks.complexity import USUAL, Thresholds
from sluice.tasks.fields import (
    EnumField,
    InputField,
    Inputs,
    Name,
    Strict,
    StringField,
    check_inputs,
    check_nesting,
    check_optional,
)
from sluice.tasks.quality import Alternatives, Expectation
from sluice.validation.body import invalid_request

if TYPE_CHECKING:
    from sluice.tasks.template import Render

SHARED_VERSION = "shared"
"""The version that comes with Sluice. Tenants' own are numbered."""

_YEAR_S = 31_622_400

type _Template = Annotated[str, Field(min_length=1, max_length=16_000, pattern=r"\S")]


class Sampling(Strict):
    """How the model chooses its words, as in OpenAI's API."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = None


class Output(Strict):
    """What an answer is: a text, or JSON that matches `schema` (JSON Schema 2020-12, as JSON text)."""

    format: Literal["text", "json"]
    json_schema: str | None = Field(default=None, alias="schema", max_length=65_536)

    @model_validator(mode="after")
    def _has_a_schema_if_json(self) -> Self:
        if (self.format == "json") != (self.json_schema is not None):
            raise ValueError("should have a schema if, and only if, format is json")
        if self.json_schema is None:
            return self
        try:
            schema = json.loads(self.json_schema)
        except ValueError as error:
            raise ValueError(f"should have JSON as its schema: {error}") from None
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise ValueError('should have a schema of "type": "object"')
        return self


class Example(Strict):
    """Inputs, and what a good answer to them contains."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    inputs: dict[Name, JsonValue]
    contains: list[Alternatives] = Field(default_factory=list, max_length=30)


class TaskFile(Strict):
    """A file of shared/tasks/, or a tenant's own version of one."""

    group: Name
    description: Annotated[str, Field(min_length=1, max_length=400)]
    system: _Template
    user: _Template
    inputs: Annotated[dict[Name, InputField], Field(min_length=1, max_length=50)]
    output: Output
    sampling: Sampling = Sampling()
    cache_ttl_s: Annotated[int, Field(ge=0, le=_YEAR_S)] | None = None
    complexity: Thresholds = USUAL
    quality: Expectation = Expectation()
    examples: list[Example] = Field(default_factory=list, max_length=20)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        check_nesting(self.inputs)
        check_optional(self.inputs)
        for name, field in self.inputs.items():
            if not field.description:
                raise ValueError(f"should have a description of the input {name!r}")
        for number, rule in enumerate(self.complexity.rules, start=1):
            try:
                rule.check(self.inputs)
            except ValueError as error:
                raise ValueError(f"complexity rule {number} {error}") from None
        for name in self.quality.mentions:
            has_words = isinstance(self.inputs.get(name), StringField | EnumField)
            if not has_words:
                raise ValueError(f"quality.mentions should name inputs of type string or enum, which {name!r} is not")
        for number, example in enumerate(self.examples, start=1):
            try:
                check_inputs(self.inputs, example.inputs)
            except InvalidRequestError as error:
                raise ValueError(f"example {number} should have valid inputs: {error.message}") from None
        return self


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a model is sent, and how hard it is."""

    system: str
    user: str
    complexity: Complexity


@dataclass(frozen=True)
class Task:
    """One version of a task. `file` is what it says."""

    name: str
    version: str
    file: TaskFile

    @cached_property
    def schema(self) -> JsonObject | None:
        """The JSON Schema that a model's output is held to, None if it is a text."""
        text = self.file.output.json_schema
        schema: JsonObject | None = None if text is None else json.loads(text)
        return schema

    @property
    def answer_format(self) -> ResponseFormat | None:
        """What answers are held against."""
        return None if self.schema is None else self.format_of(self.schema)

    def format_of(self, schema: JsonObject) -> ResponseFormat:
        """A request for answers that match `schema`."""
        return ResponseFormat(type="json_schema", json_schema={"name": self.name, "schema": schema})

    def compile(self) -> None:
        """Check what `TaskFile` leaves out because it takes time: templates and the schema. InvalidRequestError."""
        _ = self._system, self._user
        try:
            check_schema(self.answer_format)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"output.schema: {error.message}.", param="output.schema") from None

    def check_inputs(self, values: Mapping[str, JsonValue]) -> Inputs:
        """Inputs, defaults filled in; InvalidRequestError naming the one that is wrong."""
        return check_inputs(self.file.inputs, values)

    def render(self, inputs: Inputs) -> Rendered:
        """The prompt for checked inputs. InvalidRequestError if it becomes too long."""
        boundary = spotlighting.boundary(self.name, inputs)
        user = self._user(inputs, boundary)
        system = [self._system(inputs, boundary), spotlighting.note(boundary)]
        if self.file.output.json_schema is not None:
            schema = json.dumps(self.schema, ensure_ascii=False, separators=(",", ":"))
            system.append(f"Answer with one JSON object and nothing else. It has to match this JSON Schema:\n{schema}")
        characters = len(spotlighting.without_tags(user))
        return Rendered("\n\n".join(system), user, self.file.complexity.judge(inputs, characters))

    @cached_property
    def _system(self) -> "Render":
        return self._compiled("system", self.file.system)

    @cached_property
    def _user(self) -> "Render":
        return self._compiled("user", self.file.user)

    def _compiled(self, field: str, source: str) -> "Render":
        # Imported late, see there.
        from sluice.tasks.grammar import TemplateError
        from sluice.tasks.template import compile_template

        try:
            return compile_template(source, self.file.inputs)
        except TemplateError as error:
            raise InvalidRequestError(f"{field}: {error}.", param=field) from None


def read_task(path: Path) -> Task:
    """Read one file of shared/tasks/; ValueError naming the file and the field. Templates are compiled when used."""
    fields = read_toml(path)
    try:
        return Task(path.stem, SHARED_VERSION, TaskFile.model_validate(fields))
    except ValidationError as error:
        raise ValueError(f"{path.name}: {invalid_request(error, fields).message}") from None
