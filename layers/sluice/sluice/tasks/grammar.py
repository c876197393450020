"""What a template may say: a small part of Jinja2 in which no valid input can make rendering fail or run away.

Types are followed through every expression. Loops only go over lists; a loop inside another goes over a list of the
outer one's item. There are no calls, no arithmetic and no assignments. The steps of what is let in are counted.

Jinja2's parser is recursive, and so are the checks of types and the rendering: `check_tokens` and `check_size`, which
are not, come first.
"""

import math
from collections.abc import Iterable, Mapping

from jinja2 import nodes

from sluice.loading.dataclass import dataclass
from sluice.tasks.fields import (
    BooleanField,
    EnumField,
    InputField,
    IntegerField,
    ListField,
    NumberField,
    ObjectField,
    StringField,
)

_MOST_EXPRESSIONS_IN_A_LOOP = 60
_MOST_EXPRESSIONS = 400
# Half as many again as so many expressions take, white space included: reading them takes some 40 ms.
_MOST_TOKENS = 3500
_MOST_LEVELS = 20
_MOST_NUMBER_CHARACTERS = 30

_TOO_DEEP = f"is nested deeper than {_MOST_LEVELS} levels, each filter or operator in a row being one"
_TAGS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "print"})
# What makes the parser call itself: it goes one level down for each, until the bracket or the tag is closed.
_DOWN = frozenset({"(", "[", "{", "not", "else", "-", "+"})
_UP = frozenset({")", "]", "}"})
# Jinja2 gives them a meaning, whatever a template is given under these names.
_RESERVED = frozenset({"loop", "self"})

_LOOP = {"index": "number", "index0": "number", "length": "number", "first": "boolean", "last": "boolean"}
_KINDS: Mapping[type, str] = {
    StringField: "text",
    EnumField: "text",
    IntegerField: "number",
    NumberField: "number",
    BooleanField: "boolean",
    ListField: "list",
    ObjectField: "object",
}
_SCALARS = ("text", "number")


class TemplateError(ValueError):
    """A template says something that it must not."""


@dataclass(frozen=True, slots=True)
class _Type:
    """What is known of an expression: its kind, the field it is if it is one, and the loop variable it is part of."""

    kind: str
    field: InputField | None = None
    loop_variable: str | None = None


type _Scope = Mapping[str, _Type]


def check_tokens(tokens: Iterable[tuple[int, str, str]]) -> None:
    """Raise TemplateError for what can't be parsed safely.

    Args:
        tokens: As `jinja2.Environment.lex` finds them: the line, the kind and the text of each.
    """
    tags_open, level_in_tag, last_kind = 0, 0, ""
    for count, (line, kind, text) in enumerate(tokens, start=1):
        if count > _MOST_TOKENS:
            raise _refused_at(line, f"a template may have at most {_MOST_TOKENS} tokens")
        match kind:
            case "whitespace":
                continue
            case "block_begin" | "variable_begin":
                level_in_tag = 0
            case "integer" | "float":
                _check_number(line, kind, text)
            case "name" if last_kind == "block_begin":
                if text not in _TAGS:
                    raise _refused_at(line, f"the tag {text[:64]} is not allowed; allowed are for and if")
                tags_open += (text in {"for", "if"}) - (text in {"endfor", "endif"})
            case "name" | "operator":
                level_in_tag += (text in _DOWN) - (text in _UP)
        if tags_open + level_in_tag > _MOST_LEVELS:
            raise _refused_at(line, _TOO_DEEP)
        last_kind = kind


def check_size(template: nodes.Template) -> None:
    """Raise TemplateError if a tree has too many expressions or too many levels."""
    depth, expressions = 0, 0
    level = list(template.iter_child_nodes())
    while level:
        depth += 1
        if depth > _MOST_LEVELS:
            raise _refused(level[0], _TOO_DEEP)
        expressions += sum(isinstance(node, nodes.Expr) for node in level)
        level = [child for node in level for child in node.iter_child_nodes()]
    if expressions > _MOST_EXPRESSIONS:
        raise _refused(template, f"a template may have at most {_MOST_EXPRESSIONS} expressions")


def check_grammar(template: nodes.Template, inputs: Mapping[str, InputField]) -> None:
    """Raise TemplateError, naming the line, for what a template must not say. `check_size` has to come first."""
    scope = {name: _of_field(field, None) for name, field in inputs.items() if name not in _RESERVED}
    _check_body(template.body, scope)


def _check_number(line: int, kind: str, text: str) -> None:
    if len(text) > _MOST_NUMBER_CHARACTERS:
        reason = f"a number may have at most {_MOST_NUMBER_CHARACTERS} characters, and this one has {len(text)}"
        raise _refused_at(line, reason)
    if not text.isascii():
        # Jinja2 takes other scripts' digits for a number, which Python can't read.
        raise _refused_at(line, f"a number is written with the digits 0 to 9, and {text} is not")
    if kind == "float" and math.isinf(float(text)):
        raise _refused_at(line, f"{text} is too large for a number")


def _check_body(body: Iterable[nodes.Node], scope: _Scope) -> None:
    for statement in body:
        match statement:
            case nodes.Output():
                for part in statement.nodes:
                    if not isinstance(part, nodes.TemplateData):
                        _type_of(part, scope)
            case nodes.If():
                _type_of(statement.test, scope)
                _check_body(statement.body, scope)
                _check_body(statement.elif_, scope)
                _check_body(statement.else_, scope)
            case nodes.For():
                _check_loop(statement, scope)
            case _:
                raise _refused(statement, f"{type(statement).__name__.lower()} is not allowed")


def _check_loop(loop: nodes.For, scope: _Scope) -> None:
    if loop.recursive or loop.test is not None or not isinstance(loop.target, nodes.Name):
        raise _refused(loop, "a loop is written {% for item in a_list %}")
    name = loop.target.name
    if name in scope or name in _RESERVED or name.startswith("_"):
        raise _refused(loop, f"the loop variable {name!r} needs a name of its own")
    if not name.isascii():
        # Python takes some letters for others: a full-width `loop` would be `loop`.
        raise _refused(loop, f"the loop variable {name!r} has to be in ASCII letters")
    over = _type_of(loop.iter, scope)
    if not isinstance(over.field, ListField):
        raise _refused(loop, "a loop goes over a list")
    if "loop" in scope and over.loop_variable is None:
        raise _refused(loop, "a loop in a loop goes over a list of the outer one's item")
    if sum(1 for _ in loop.find_all(nodes.Expr)) > _MOST_EXPRESSIONS_IN_A_LOOP:
        raise _refused(loop, f"a loop may have at most {_MOST_EXPRESSIONS_IN_A_LOOP} expressions")
    inner = {**scope, name: _of_field(over.field.items, name), "loop": _Type("loop")}
    _check_body(loop.body, inner)
    _check_body(loop.else_, scope)


def _type_of(node: nodes.Node, scope: _Scope) -> _Type:
    match node:
        case nodes.Const():
            return _of_constant(node)
        case nodes.Name():
            if node.name in _RESERVED:
                raise _refused(node, f"{node.name!r} is a word of Jinja2's own, and no input")
            if node.name not in scope:
                raise _refused(node, f"there is no input {node.name!r}")
            return scope[node.name]
        case nodes.Getattr():
            return _of_attribute(node, scope)
        case nodes.Filter():
            return _of_filter(node, scope)
        case nodes.Compare():
            return _of_comparison(node, scope)
        case nodes.Not():
            _type_of(node.node, scope)
            return _Type("boolean")
        case nodes.And() | nodes.Or():
            return _either(_type_of(node.left, scope), _type_of(node.right, scope))
        case nodes.CondExpr() if node.expr2 is not None:
            _type_of(node.test, scope)
            return _either(_type_of(node.expr1, scope), _type_of(node.expr2, scope))
        case _:
            raise _refused(node, f"{type(node).__name__.lower()} is not allowed")


def _of_constant(node: nodes.Const) -> _Type:
    kinds = {str: "text", bool: "boolean", int: "number", float: "number"}
    if type(node.value) not in kinds:
        raise _refused(node, f"{node.value!r} is not allowed")
    return _Type(kinds[type(node.value)])


def _of_field(field: InputField, loop_variable: str | None) -> _Type:
    return _Type(_KINDS.get(type(field), "any"), field, loop_variable)


def _of_attribute(node: nodes.Getattr, scope: _Scope) -> _Type:
    if isinstance(node.node, nodes.Name) and node.node.name == "loop" and "loop" in scope:
        if node.attr not in _LOOP:
            raise _refused(node, f"loop has {', '.join(_LOOP)}, not {node.attr}")
        return _Type(_LOOP[node.attr])
    owner = _type_of(node.node, scope)
    fields = owner.field.fields if isinstance(owner.field, ObjectField) else None
    if fields is None or node.attr not in fields:
        raise _refused(node, f"there is no field {node.attr!r} there")
    return _of_field(fields[node.attr], owner.loop_variable)


def _of_filter(node: nodes.Filter, scope: _Scope) -> _Type:
    if node.node is None or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _refused(node, f"the filter {node.name} is not used like this")
    filtered = _type_of(node.node, scope)
    separators = [argument for argument in node.args if not _is_text(argument)]
    match node.name:
        case "length" if filtered.kind in {"text", "list", "object"} and not node.args:
            return _Type("number")
        case "upper" | "lower" | "trim" if filtered.kind == "text" and not node.args:
            return _Type("text")
        case "join" if len(node.args) <= 1 and not separators and isinstance(filtered.field, ListField):
            if _KINDS.get(type(filtered.field.items)) in _SCALARS:
                return _Type("text")
            raise _refused(node, "join takes a list of texts or numbers")
        case "length" | "upper" | "lower" | "trim" | "join":
            raise _refused(node, f"the filter {node.name} does not fit what it is given")
        case _:
            raise _refused(node, f"the filter {node.name} is not allowed; allowed are join, length, lower, trim, upper")


def _of_comparison(node: nodes.Compare, scope: _Scope) -> _Type:
    left = _type_of(node.expr, scope)
    for operand in node.ops:
        if operand.op in {"in", "notin"}:
            _check_membership(operand, left, scope)
            left = _Type("boolean")
            continue
        right = _type_of(operand.expr, scope)
        if operand.op not in {"eq", "ne"} and {left.kind, right.kind} != {"number"}:
            raise _refused(node, "larger and smaller are for numbers; use `| length` for a text or a list")
        left = right
    return _Type("boolean")


def _check_membership(operand: nodes.Operand, left: _Type, scope: _Scope) -> None:
    if isinstance(operand.expr, nodes.List | nodes.Tuple):
        for item in operand.expr.items:
            if not isinstance(item, nodes.Const):
                raise _refused(operand, "a list written out has constants in it")
            _of_constant(item)
        return
    right = _type_of(operand.expr, scope)
    if right.kind != "list" and (left.kind, right.kind) != ("text", "text"):
        raise _refused(operand, "`in` looks for a text in a text, or for something in a list")


def _either(left: _Type, right: _Type) -> _Type:
    return _Type(left.kind if left.kind == right.kind and left.kind in {*_SCALARS, "boolean"} else "any")


def _is_text(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, str)


def _refused(node: nodes.Node, reason: str) -> TemplateError:
    # Jinja2 leaves some nodes without a line.
    lines = (each.lineno for each in (node, *node.iter_child_nodes()) if each.lineno is not None)
    return _refused_at(next(lines, 1), reason)


def _refused_at(line: int, reason: str) -> TemplateError:
    return TemplateError(f"line {line}: {reason}")
