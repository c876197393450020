"""Renders task templates, step by step and so many at most.

Import it late: Jinja2, which parses them, takes some 80 ms, and only those who run a task need it.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from pydantic import JsonValue

from sluice.errors import InvalidRequestError
from sluice.guards.work import WorkLimitError, WorkMeter
from sluice.loading.dataclass import dataclass
from sluice.tasks.fields import Bare, InputField, Inputs
from sluice.tasks.grammar import TemplateError, check_grammar, check_size, check_tokens
from sluice.tasks.spotlighting import spotlighted

MOST_PROMPT_CHARACTERS = 250_000
MOST_STEPS = 30_000
"""How many steps filling a template may take: an expression, a turn of a loop, or 256 characters looked at."""

_CHARACTERS_PER_STEP = 256

type Render = Callable[[Inputs, str], str]
"""Renders checked inputs between tags of a boundary; InvalidRequestError if that is too long or too much work."""
type _Scope = Mapping[str, Any]


def compile_template(source: str, inputs: Mapping[str, InputField]) -> Render:
    """Check a template and make it ready. Raises TemplateError."""
    parsed = parse_template(source)
    check_grammar(parsed, inputs)

    def render(values: Inputs, boundary: str) -> str:
        rendering = _Rendering(boundary)
        try:
            rendering.body(parsed.body, values)
        except WorkLimitError:
            raise InvalidRequestError(
                f"inputs: filling the template with them takes over {MOST_STEPS} steps.", param="inputs"
            ) from None
        return "".join(rendering.parts).strip()

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
def _environment() -> Environment:
    # It parses, and runs nothing.
    return Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 - a prompt is no HTML


@dataclass(frozen=True, slots=True)
class _Loop:
    """Where a loop is."""

    index0: int
    length: int

    def said(self, name: str) -> int | bool:
        match name:
            case "index":
                return self.index0 + 1
            case "first":
                return self.index0 == 0
            case "last":
                return self.index0 == self.length - 1
            case _:
                return self.index0 if name == "index0" else self.length


class _Rendering:
    """One filling of a template. `parts` are what it has come to; all it meets was let in by the grammar."""

    def __init__(self, boundary: str) -> None:
        self.parts: list[str] = []
        self._boundary = boundary
        self._length = 0
        self._meter = WorkMeter(MOST_STEPS)

    def body(self, statements: Iterable[nodes.Node], scope: _Scope) -> None:
        """Render statements. Raises InvalidRequestError, WorkLimitError."""
        for statement in statements:
            match statement:
                case nodes.Output():
                    for part in statement.nodes:
                        self._output(part, scope)
                case nodes.If():
                    self._if(statement, scope)
                case nodes.For(target=nodes.Name() as variable):
                    self._for(statement, variable.name, scope)

    def _output(self, part: nodes.Node, scope: _Scope) -> None:
        if isinstance(part, nodes.TemplateData):
            text = part.data
        else:
            # Also of a template's own constants: what is not known to be the author's counts as the caller's.
            text = spotlighted(self._value(part, scope), self._boundary)
        self._meter.spend(_weight(text))
        self._length += len(text)
        if self._length > MOST_PROMPT_CHARACTERS:
            raise InvalidRequestError(
                f"inputs: the prompt made of them is over {MOST_PROMPT_CHARACTERS} characters.", param="inputs"
            )
        self.parts.append(text)

    def _if(self, statement: nodes.If, scope: _Scope) -> None:
        for branch in (statement, *statement.elif_):
            if self._value(branch.test, scope):
                self.body(branch.body, scope)
                return
        self.body(statement.else_, scope)

    def _for(self, statement: nodes.For, variable: str, scope: _Scope) -> None:
        items = self._value(statement.iter, scope)
        for index0, item in enumerate(items):
            self._meter.spend(1)
            self.body(statement.body, {**scope, variable: item, "loop": _Loop(index0, len(items))})
        if not items:
            self.body(statement.else_, scope)

    def _value(self, node: nodes.Node, scope: _Scope) -> Any:
        self._meter.spend(1)
        match node:
            case nodes.Const():
                return node.value
            case nodes.Name():
                return scope[node.name]
            case nodes.Getattr():
                owner = self._value(node.node, scope)
                return owner.said(node.attr) if isinstance(owner, _Loop) else owner[node.attr]
            case nodes.Filter() if node.node is not None:
                arguments = [self._value(argument, scope) for argument in node.args]
                return self._filtered(node.name, self._value(node.node, scope), *arguments)
            case nodes.Compare():
                return self._compared(node, scope)
            case nodes.Not():
                return not self._value(node.node, scope)
            case nodes.And():
                return self._value(node.left, scope) and self._value(node.right, scope)
            case nodes.Or():
                return self._value(node.left, scope) or self._value(node.right, scope)
            case nodes.CondExpr() if node.expr2 is not None:
                return self._value(node.expr1 if self._value(node.test, scope) else node.expr2, scope)
            case nodes.List() | nodes.Tuple():
                return [self._value(item, scope) for item in node.items]
        raise TypeError(f"the grammar lets no {type(node).__name__} into a template")

    def _filtered(self, name: str, value: Any, separator: str = "") -> Any:
        if name == "length":
            return len(value)
        self._meter.spend(_weight(value))
        match name:
            case "upper":
                return type(value)(value.upper())
            case "lower":
                return type(value)(value.lower())
            case "trim":
                return type(value)(value.strip())
        self._meter.spend(len(value) * (1 + len(separator) // _CHARACTERS_PER_STEP))
        return _join(value, separator)

    def _compared(self, node: nodes.Compare, scope: _Scope) -> bool:
        left = self._value(node.expr, scope)
        for operand in node.ops:
            right = self._value(operand.expr, scope)
            self._meter.spend(_weight(left) + _weight(right))
            if not _COMPARISONS[operand.op](left, right):
                return False
            left = right
        return True


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda value, several: value in several,
    "notin": lambda value, several: value not in several,
}


def _weight(value: JsonValue) -> int:
    """How many steps it is to look at a value, all that is in it included."""
    if isinstance(value, str):
        return len(value) // _CHARACTERS_PER_STEP
    if isinstance(value, dict):
        return sum(1 + _weight(inner) for inner in value.values())
    return sum(1 + _weight(inner) for inner in value) if isinstance(value, list) else 0


def _join(values: list[JsonValue], separator: str) -> str:
    joined = separator.join(str(value) for value in values)
    return Bare(joined) if all(isinstance(value, Bare | int | float) for value in values) and values else joined
