"""Checks a value against a schema. Every step is counted, and stops at a limit.

A subschema judges a value once, however many ways lead to it: the work is at most one visit for each pair of a
subschema and a value inside the answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sluice.guards.json_schema.assertions import CHECKS, DUTIES, Duty, number_steps
from sluice.guards.json_schema.keywords import in_place
from sluice.guards.json_schema.schema import JsonSchema
from sluice.guards.normalization import encode
from sluice.guards.work import WorkMeter

# What a step of RE2's costs is little beside one of Python's.
_STEPS_TO_MATCH, _INSTRUCTIONS_PER_STEP = 4, 100
_STEPS_TO_SPELL, _CHARACTERS_PER_STEP = 2, 64


class Violation(NamedTuple):
    """A keyword that is not satisfied, and where in the answer."""

    path: tuple[str | int, ...]
    keyword: str
    expected: Any


class Validation:
    """Judges the values of one answer. Raises WorkLimitError where the work would be more than `meter` allows."""

    def __init__(self, schema: JsonSchema, meter: WorkMeter) -> None:
        self.references = schema.references
        self.meter = meter
        self._patterns = schema.patterns
        self._verdicts: dict[tuple[int, int], bool] = {}
        self._names: dict[tuple[int, int], frozenset[str]] = {}
        self._positions: dict[tuple[int, int], frozenset[int]] = {}
        self._choices: dict[int, frozenset[str]] = {}

    def accepts(self, schema: Any, value: Any) -> bool:
        """Whether a value satisfies a schema."""
        if isinstance(schema, bool):
            return schema
        key = id(schema), id(value)
        verdict = self._verdicts.get(key)
        if verdict is None:
            self.meter.spend(1 + len(schema))
            verdict = self._verdicts[key] = next(self._unsatisfied(schema, value), None) is None
        return verdict

    def violations(
        self, schema: Mapping[str, Any], value: Any, path: tuple[str | int, ...] = ()
    ) -> Iterator[Violation]:
        """What is wrong with a value that a schema does not accept."""
        self.meter.spend(1)
        for keyword, duty in self._unsatisfied(schema, value):
            if duty is None:
                yield Violation(path, keyword, schema[keyword])
            else:
                yield from self.violations(duty.schema, duty.value, path if duty.step is None else (*path, duty.step))

    def _unsatisfied(self, schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Duty | None]]:
        for keyword, expected in schema.items():
            if keyword in CHECKS:
                if not CHECKS[keyword](self, expected, value, schema):
                    yield keyword, None
            elif keyword in DUTIES:
                for duty in DUTIES[keyword](self, expected, value, schema):
                    self.meter.spend(1)
                    if not self.accepts(duty.schema, duty.value):
                        yield keyword, None if duty.schema is False else duty

    def matches(self, pattern: str, text: str) -> bool:
        """Whether a pattern of the schema occurs in a text."""
        encoded = encode(text)
        compiled = self._patterns[pattern]
        self.meter.spend(_STEPS_TO_MATCH + len(encoded) * compiled.instructions // _INSTRUCTIONS_PER_STEP)
        return compiled.search(encoded) is not None

    def is_choice(self, choices: list[Any], value: Any) -> bool:
        """Whether a value equals one of a list of the schema's."""
        if id(choices) not in self._choices:
            self._choices[id(choices)] = frozenset(self.canonical(choice) for choice in choices)
        return self.canonical(value) in self._choices[id(choices)]

    def canonical(self, value: Any) -> str:
        """The same text for equal values, 1 and 1.0 included, and only for them."""
        self.meter.spend(_STEPS_TO_SPELL + (len(value) // _CHARACTERS_PER_STEP if isinstance(value, str) else 0))
        match value:
            case dict():
                members = sorted((name, self.canonical(inner)) for name, inner in value.items())
                return "{" + ",".join(f"{len(name)}:{name}{inner}" for name, inner in members) + "}"
            case list():
                return "[" + ",".join(self.canonical(inner) for inner in value) + "]"
            case str():
                return f'"{len(value)}:{value}'
            case bool() | None:
                return str(value)
            case float() if value.is_integer():
                return str(int(value))
            case _:
                self.meter.spend(number_steps(value))
                return repr(value)

    def named(self, schema: Mapping[str, Any], value: Mapping[str, Any]) -> frozenset[str]:
        """The properties that a schema has something to say of, `unevaluatedProperties` aside."""
        key = id(schema), id(value)
        if key not in self._names:
            self.meter.spend(1 + len(value))
            if "additionalProperties" in schema:
                return self._names.setdefault(key, frozenset(value))
            names = {name for name in schema.get("properties", ()) if name in value}
            for pattern in schema.get("patternProperties", ()):
                names.update(name for name in value if self.matches(pattern, name))
            for inner in self._accepting(schema, value):
                names.update(value if "unevaluatedProperties" in inner else self.named(inner, value))
            self._names[key] = frozenset(names)
        return self._names[key]

    def placed(self, schema: Mapping[str, Any], value: list[Any]) -> frozenset[int]:
        """The positions in a list that a schema has something to say of, `unevaluatedItems` aside."""
        key = id(schema), id(value)
        if key not in self._positions:
            self.meter.spend(1 + len(value))
            everywhere = range(len(value))
            if "items" in schema:
                return self._positions.setdefault(key, frozenset(everywhere))
            positions = set(everywhere[: len(schema.get("prefixItems", ()))])
            if "contains" in schema:
                positions.update(at for at in everywhere if self.accepts(schema["contains"], value[at]))
            for inner in self._accepting(schema, value):
                positions.update(everywhere if "unevaluatedItems" in inner else self.placed(inner, value))
            self._positions[key] = frozenset(positions)
        return self._positions[key]

    def _accepting(self, schema: Mapping[str, Any], value: Any) -> Iterator[Mapping[str, Any]]:
        """The schemas in place that accept a value, and whose word counts."""
        unheard = {id(schema.get("not"))}
        if "if" in schema:
            unheard.add(id(schema.get("else" if self.accepts(schema["if"], value) else "then")))
        else:
            unheard.update((id(schema.get("then")), id(schema.get("else"))))
        for name, inner in schema.get("dependentSchemas", {}).items():
            if not isinstance(value, dict) or name not in value:
                unheard.add(id(inner))
        for inner in in_place(schema, self.references):
            self.meter.spend(1)
            if isinstance(inner, dict) and id(inner) not in unheard and self.accepts(inner, value):
                yield inner
