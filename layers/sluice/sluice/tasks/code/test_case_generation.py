"""Writes test cases: each is checked by itself, and those that fail are asked for once more."""

import time
from collections.abc import Iterable
from typing import Any, cast

from aws_lambda_powertools import Logger
from pydantic import JsonValue

from sluice.chat import JsonObject
from sluice.errors import InvalidAnswerError, SluiceError
from sluice.tasks.code import Call, with_properties
from sluice.tasks.fields import Inputs

logger = Logger(child=True)

_TEXTS = ("input", "expected_output", "description")
_CATEGORIES = ("typical", "edge")


def answer(inputs: Inputs, call: Call) -> JsonValue:
    """As many valid and different cases as were asked for, or as many as two answers of the model have.

    InvalidAnswerError if not one is valid.
    """
    wanted = cast("int", inputs["num_cases"])
    takes_edges = bool(inputs["include_edge_cases"])
    known = {_normal(case["input"]) for case in cast("list[dict[str, str]]", inputs["existing_cases"])}
    started_s = time.monotonic()
    schema = narrowed(call.task.schema or {}, wanted, takes_edges=takes_edges)
    cases, rejected = sift(call.ask(inputs, schema=schema), known, takes_edges=takes_edges)
    took_s = time.monotonic() - started_s
    if len(cases) < wanted and (not cases or call.context.deadline.remaining_s > took_s):
        more, rejected_again = sift(_missing(inputs, call, cases), known, takes_edges=takes_edges)
        cases += more
        rejected += rejected_again
    if not cases:
        raise InvalidAnswerError("The model wrote no valid test case, also when asked again.")
    return {"test_cases": list[JsonValue](cases[:wanted]), "requested": wanted, "rejected": rejected}


def _missing(inputs: Inputs, call: Call, cases: list[dict[str, Any]]) -> JsonValue:
    """The model's output when asked for the cases that are missing; nothing, if it fails and there are some."""
    number = cast("int", inputs["num_cases"]) - len(cases)
    there: list[JsonValue] = [{name: case[name] for name in _TEXTS[:2]} for case in cases]
    existing = cast("list[JsonValue]", inputs["existing_cases"]) + there
    asked: Inputs = {**inputs, "num_cases": number, "existing_cases": existing}
    schema = narrowed(call.task.schema or {}, number, takes_edges=bool(inputs["include_edge_cases"]))
    try:
        # With nothing to show for it the question is the same, and so would be the answer from the cache.
        return call.ask(asked, anew=not cases, schema=schema)
    except SluiceError as error:
        if not cases:
            raise
        # They were paid for: fewer than were asked for are worth more than an error.
        logger.warning("missing test cases could not be asked for", extra={"reason": error.code})
        return None


def output(schema: JsonObject) -> JsonObject:
    """See TaskCode."""
    case: JsonObject = {
        "type": "object",
        "additionalProperties": False,
        "required": [*_TEXTS, "category"],
        "properties": {
            **{name: {"type": "string"} for name in _TEXTS},
            "category": {"type": "string", "enum": [*_CATEGORIES]},
        },
    }
    number: JsonObject = {"type": "integer", "minimum": 0}
    properties: JsonObject = {
        "test_cases": {"type": "array", "minItems": 1, "items": case},
        "requested": number,
        "rejected": number,
    }
    return with_properties(schema, properties)


def narrowed(schema: JsonObject, number: int, *, takes_edges: bool) -> JsonObject:
    """The task's schema for just so many cases, of the categories that were asked for."""
    cases = schema["properties"]["test_cases"]
    items = cases["items"]
    category = {"type": "string", "enum": list(_CATEGORIES if takes_edges else _CATEGORIES[:1])}
    items = {**items, "properties": {**items["properties"], "category": category}}
    exactly = {**cases, "items": items, "minItems": number, "maxItems": number}
    return {**schema, "properties": {**schema["properties"], "test_cases": exactly}}


def sift(output: JsonValue, known: set[str], *, takes_edges: bool) -> tuple[list[dict[str, Any]], int]:
    """The cases that are well-formed and new, whose inputs are added to `known`, and how many are not."""
    found = output.get("test_cases") if isinstance(output, dict) else None
    proposed = found if isinstance(found, list) else []
    valid = []
    for case in cast("list[Any]", proposed):
        if is_valid(case, takes_edges=takes_edges) and _normal(case["input"]) not in known:
            known.add(_normal(case["input"]))
            valid.append({name: case[name] for name in (*_TEXTS, "category")})
    return valid, len(proposed) - len(valid)


def is_valid(case: Any, *, takes_edges: bool) -> bool:
    """Whether a case has what a grader needs: texts, an output, a description, and a category that was asked for."""
    if not isinstance(case, dict) or not _are_texts(case.get(name) for name in _TEXTS):
        return False
    says_something = bool(case["expected_output"].strip()) and bool(case["description"].strip())
    return says_something and case.get("category") in (_CATEGORIES if takes_edges else _CATEGORIES[:1])


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _normal(text: str) -> str:
    # A line break more or less at the end makes no new case, nor does how it is written; white space may.
    return text.replace("\r\n", "\n").removesuffix("\n")
