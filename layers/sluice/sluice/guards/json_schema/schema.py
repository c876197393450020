"""A JSON Schema (2020-12) made ready to check answers with: well formed, and small enough that checking it ends soon.

References lead into the schema itself, never elsewhere, and patterns are RE2's. Of the standard, an `$id` below the
root is left out, and `$dynamicRef` is an `$ref`; `format` is a comment, as the standard has it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import unquote

import re2

from sluice.errors import InvalidRequestError
from sluice.guards.automata import silent_options
from sluice.guards.json_schema.keywords import KINDS, Path, fits, in_place, subschemas
from sluice.guards.normalization import encode
from sluice.loading.dataclass import dataclass

SCHEMA_PARAM = "response_format.json_schema.schema"
MOST_SCHEMA_BYTES = 65_536
MOST_SCHEMA_DEPTH = 32
MOST_SCHEMA_STEPS = 2_000
"""How many subschemas one value may have to be checked against."""
MOST_STEPS_IN_A_ROW = 64
"""How many subschemas may lead from one to the next without going into the value."""
MOST_PATTERN_INSTRUCTIONS = 100_000
"""All patterns of a schema together, as RE2 compiles them: some 50 ms and 3 MB."""

_PATTERN_BYTES = 1 << 20
_INSTRUCTIONS_TO_BEGIN_WITH = 100
# A schema is needed twice in a row: before the question, and after the answer.
_SCHEMAS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of a schema. Each byte of a text may take `instructions` steps to match, at worst."""

    search: Callable[[bytes], object]
    instructions: int


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A checked schema. `references` and `patterns` are by how the schema spells them."""

    root: Mapping[str, Any]
    references: Mapping[str, Any]
    patterns: Mapping[str, Pattern]
    property_names: frozenset[str]


def compile_schema(schema: object) -> JsonSchema:
    """Check a schema and make it ready. Raises InvalidRequestError for one that is malformed or too complex."""
    if not isinstance(schema, dict):
        _refuse(f"must be an object, got {type(schema).__name__}")
    _check_depth(schema)
    text = json.dumps(schema, ensure_ascii=False)
    size = len(encode(text))
    if size > MOST_SCHEMA_BYTES:
        _refuse(f"is too complex: it has {size} bytes, at most {MOST_SCHEMA_BYTES} are allowed")
    return _compiled(text)


@lru_cache(_SCHEMAS_KEPT)
def _compiled(text: str) -> JsonSchema:
    root: dict[str, Any] = json.loads(text)
    reader = _Reader(root)
    reader.read()
    _check_steps(root, reader.references)
    return JsonSchema(root, reader.references, reader.patterns, frozenset(reader.property_names))


class _Reader:
    """Visits every subschema once: whether it is well formed, what it refers to, which patterns it has."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.references: dict[str, Any] = {}
        self.patterns: dict[str, Pattern] = {}
        self.property_names: set[str] = set()
        self._root = root
        self._anchors: dict[str, Any] = {}
        self._seen: set[int] = set()
        self._unresolved: list[str] = []
        self._instructions = 0

    def read(self) -> None:
        self._visit(self._root, ())
        while self._unresolved:
            reference = self._unresolved.pop()
            if reference not in self.references:
                self.references[reference] = self._resolved(reference)
                self._visit(self.references[reference], (reference,))

    def _visit(self, schema: Any, path: Path) -> None:
        waiting = [(schema, path)]
        while waiting:
            node, where = waiting.pop()
            if isinstance(node, dict) and id(node) not in self._seen:
                self._seen.add(id(node))
                for keyword, value in node.items():
                    self._check(keyword, value, (*where, keyword), node)
                waiting += ((child, (*where, *steps)) for child, steps in subschemas(node))

    def _check(self, keyword: str, value: Any, where: Path, node: Mapping[str, Any]) -> None:
        kind = KINDS.get(keyword)
        if kind is not None and not fits(value, kind):
            _refuse(f"is malformed at {_shown(where)}: must be {kind}")
        match keyword:
            case "properties":
                self.property_names.update(value)
            case "pattern":
                self._compile(value, where)
            case "patternProperties":
                for pattern in value:
                    self._compile(pattern, where)
            case "$ref" | "$dynamicRef":
                if not value.startswith("#"):
                    _refuse(f"is malformed at {_shown(where)}: must point into the schema itself (#/...)")
                self._unresolved.append(value)
            case "$anchor" | "$dynamicAnchor":
                if self._anchors.setdefault(value, node) is not node:
                    _refuse(f"is malformed at {_shown(where)}: must be a name that is given once")
            case "$id" if len(where) > 1:
                _refuse(f"is malformed at {_shown(where)}: is supported at the root only")

    def _compile(self, pattern: str, where: Path) -> None:
        if pattern in self.patterns:
            return
        try:
            compiled = re2.compile(encode(pattern), silent_options(_PATTERN_BYTES))
        except re2.error as error:
            if b"too large" in error.args[0]:
                _refuse(f"is too complex: the pattern at {_shown(where)} is too large; maxLength costs less than {{n}}")
            _refuse(f"is malformed at {_shown(where)}: is not RE2 syntax")
        finally:
            # The module would keep the last 128 patterns, a megabyte each.
            re2.purge()
        self._instructions += compiled.programsize + _INSTRUCTIONS_TO_BEGIN_WITH
        if self._instructions > MOST_PATTERN_INSTRUCTIONS:
            _refuse("is too complex: its patterns are too large together; maxLength costs less than {n}")
        self.patterns[pattern] = Pattern(compiled.search, compiled.programsize)

    def _resolved(self, reference: str) -> Any:
        node: Any = self._root
        if reference.startswith("#/"):
            for token in unquote(reference).split("/")[1:]:
                node = _child(node, token.replace("~1", "/").replace("~0", "~"))
        elif reference != "#":
            node = self._anchors.get(reference[1:])
        if not isinstance(node, dict | bool):
            _refuse(f"refers to {reference!r}, which it does not contain")
        return node


def _child(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    is_index = isinstance(node, list) and key.isdecimal() and len(key) < 10
    return node[int(key)] if is_index and int(key) < len(node) else None


def _check_depth(schema: Mapping[str, Any]) -> None:
    level: list[Any] = [schema]
    depth = 0
    while level:
        depth += 1
        if depth > MOST_SCHEMA_DEPTH * 2:  # each level of schema is an object inside a keyword's object or array
            _refuse(f"is too complex: it is nested more than {MOST_SCHEMA_DEPTH} levels deep")
        level = [child for node in level for child in _children(node)]


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _check_steps(root: Mapping[str, Any], references: Mapping[str, Any]) -> None:
    """Refuse schemas that lead back to themselves without going into the value, or to too many others."""
    known: dict[int, tuple[int, int]] = {}  # by schema: how many judge one value, and how many in a row
    waiting: list[Any] = [root, *references.values()]
    seen: set[int] = set()
    while waiting:
        start = waiting.pop()
        if isinstance(start, dict) and id(start) not in seen:
            seen.add(id(start))
            waiting += (child for child, _ in subschemas(start))
            _count_steps(start, references, known)


def _count_steps(start: Mapping[str, Any], references: Mapping[str, Any], known: dict[int, tuple[int, int]]) -> None:
    # Not recursive: what leads to what may be a long way.
    path = [(start, in_place(start, references))] if id(start) not in known else []
    on_path = {id(start)}
    while path:
        node, inner = path[-1]
        following = next((one for one in inner if isinstance(one, dict) and id(one) not in known), None)
        if following is not None:
            if id(following) in on_path:
                _refuse("refers to itself without end")
            path.append((following, in_place(following, references)))
            on_path.add(id(following))
            continue
        met = [known.get(id(one), (1, 1)) for one in in_place(node, references)]
        steps, in_a_row = 1 + sum(count for count, _ in met), 1 + max((row for _, row in met), default=0)
        if steps > MOST_SCHEMA_STEPS:
            _refuse(f"is too complex: it checks one value against more than {MOST_SCHEMA_STEPS} subschemas")
        if in_a_row > MOST_STEPS_IN_A_ROW:
            _refuse(f"is too complex: more than {MOST_STEPS_IN_A_ROW} subschemas lead from one to the next")
        known[id(node)] = steps, in_a_row
        on_path.discard(id(node))
        path.pop()


def _shown(path: Path) -> str:
    return "".join(f"[{step!r}]" for step in path)


def _refuse(message: str) -> NoReturn:
    raise InvalidRequestError(f"The JSON Schema {message}", param=SCHEMA_PARAM)
