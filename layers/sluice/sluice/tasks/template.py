"""Renders task templates, sandboxed. Import it late: Jinja2 takes some 80 ms, and only those who run a task need it."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import JsonValue

from sluice.errors import InvalidRequestError
from sluice.tasks.fields import Bare, InputField, Inputs
from sluice.tasks.grammar import TemplateError, check_grammar, check_size, check_tokens
from sluice.tasks.spotlighting import spotlighted

MOST_PROMPT_CHARACTERS = 250_000

# Where the boundary lies in a template's context: no input has such a name.
_BOUNDARY = "_boundary"

type Render = Callable[[Inputs, str], str]
"""Renders checked inputs between tags of a boundary; InvalidRequestError if the text becomes too long."""


class _Environment(ImmutableSandboxedEnvironment):
    """Sees the fields of an object, and never the methods of a dictionary: a field may be called `items`."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            return obj[attribute]
        return super().getattr(obj, attribute)


def compile_template(source: str, inputs: Mapping[str, InputField]) -> Render:
    """Check and compile a template. Raises TemplateError."""
    parsed = parse_template(source)
    check_grammar(parsed, inputs)
    template = _environment().from_string(parsed)

    def render(values: Inputs, boundary: str) -> str:
        parts, length = [], 0
        for part in template.generate({**values, _BOUNDARY: boundary}):
            length += len(part)
            if length > MOST_PROMPT_CHARACTERS:
                raise InvalidRequestError(
                    f"inputs: the prompt made of them is over {MOST_PROMPT_CHARACTERS} characters.", param="inputs"
                )
            parts.append(part)
        return "".join(parts).strip()

    return render


def parse_template(source: str) -> nodes.Template:
    """The syntax tree of a template, small enough to walk recursively. Raises TemplateError."""
    environment = _environment()
    try:
        check_tokens(environment.lex(source))
        parsed = environment.parse(source)
    except TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {(error.message or 'is no template').rstrip('.')}") from None
    check_size(parsed)
    return parsed


@cache
def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
        # It folds constants, in a time that grows with the cube of an expression's depth.
        optimized=False,
    )
    environment.filters = {"length": len, "join": _join, "upper": _upper, "lower": _lower, "trim": _trim}
    environment.globals = {}
    return environment


@pass_context
def _finalized(context: Context, value: JsonValue) -> str:
    # Also of a template's own constants: what is not known to be the author's counts as the caller's.
    return spotlighted(value, cast("str", context.resolve(_BOUNDARY)))


def _join(values: list[JsonValue], separator: str = "") -> str:
    joined = separator.join(str(value) for value in values)
    return Bare(joined) if all(isinstance(value, Bare | int | float) for value in values) and values else joined


def _upper(text: str) -> str:
    return type(text)(text.upper())


def _lower(text: str) -> str:
    return type(text)(text.lower())


def _trim(text: str) -> str:
    return type(text)(text.strip())
