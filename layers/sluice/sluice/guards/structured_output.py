"""Structured output: what a request may ask for, and whether an answer's value is that."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn

from sluice.chat import ResponseFormat
from sluice.errors import InvalidRequestError
from sluice.guards.work import WorkLimitError, WorkMeter

MOST_VALIDATION_STEPS = 40_000
"""Steps that checking one answer against a schema may take: 60 to 100 ms."""

_MOST_REASONS = 5


class InvalidJsonAnswerError(Exception):
    """The answer is not what `response_format` asked for: the model may be asked once more.

    `reasons` name paths and rules, and nothing of what the answer said.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def asks_for_json(response_format: ResponseFormat | None) -> bool:
    """Whether answers are to be JSON."""
    return response_format is not None and response_format.type in {"json_object", "json_schema"}


def check_schema(response_format: ResponseFormat | None) -> None:
    """Raise InvalidRequestError for a JSON Schema that is malformed, refers elsewhere or is too complex."""
    if response_format is None or response_format.type != "json_schema":
        return
    # Imported late: few requests bring a schema.
    from sluice.guards.json_schema.schema import SCHEMA_PARAM, compile_schema

    if not response_format.json_schema or "schema" not in response_format.json_schema:
        raise InvalidRequestError("response_format of type json_schema needs a schema", param=SCHEMA_PARAM)
    compile_schema(response_format.json_schema["schema"])


def parse(text: str) -> Any:
    """The value that a text is as JSON. Raises ValueError, or InvalidJsonAnswerError for one that is too deep."""

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse_constant)
    except RecursionError:
        raise InvalidJsonAnswerError(("$: is nested too deeply",)) from None


def check_value(value: Any, response_format: ResponseFormat | None) -> int:
    """Raise InvalidJsonAnswerError if the value is not what was asked for. Returns the steps that checking it took."""
    if response_format is None:
        return 0
    if response_format.type == "json_object" and not isinstance(value, dict):
        raise InvalidJsonAnswerError(("$: must be an object",))
    schema = (response_format.json_schema or {}).get("schema")
    if response_format.type != "json_schema" or not isinstance(schema, dict):
        return 0
    meter = WorkMeter(MOST_VALIDATION_STEPS)
    reasons = tuple(islice(_violations(value, schema, meter), _MOST_REASONS))
    if reasons:
        raise InvalidJsonAnswerError(reasons)
    return meter.spent


def _violations(value: Any, schema: dict[str, Any], meter: WorkMeter) -> Iterator[str]:
    from sluice.guards.json_schema.schema import compile_schema
    from sluice.guards.json_schema.validation import Validation, Violation

    compiled = compile_schema(schema)

    def reason(violation: Violation) -> str:
        # A property's name that the schema does not know is the answer's content too.
        known = compiled.property_names
        steps = (f"[{at}]" if isinstance(at, int) else f".{at}" if at in known else ".*" for at in violation.path)
        expected = json.dumps(violation.expected, ensure_ascii=False)
        shown = f": {expected}" if len(expected) <= 200 else ""
        return f'${"".join(steps)}: must satisfy "{violation.keyword}"{shown}'

    validation = Validation(compiled, meter)
    try:
        if not validation.accepts(compiled.root, value):
            yield from (reason(violation) for violation in validation.violations(compiled.root, value))
    except WorkLimitError:
        yield "$: takes more work to check than is allowed"
    except RecursionError:
        yield "$: is nested too deeply"
