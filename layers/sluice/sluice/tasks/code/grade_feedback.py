"""Grades a submission: by its test results, and by a model whose score may not stray far from them."""

from collections.abc import Iterable
from typing import Any, cast

from pydantic import JsonValue

from sluice.chat import JsonObject
from sluice.tasks.code import Call, with_properties
from sluice.tasks.fields import Inputs


def answer(inputs: Inputs, call: Call) -> JsonValue:
    """The model's feedback, with its score bounded by the score that the tests give."""
    results = cast("list[dict[str, Any]]", inputs["test_results"])
    most = cast("float", inputs["max_score"])
    judged = cast("dict[str, Any]", call.ask(inputs))
    by_rule = rule_based_score(results, most)
    by_model = _as_points(judged["score_percent"], most)
    score = bounded(by_model, by_rule, most, cast("float", inputs["leeway_percent"]))
    passed = sum(result["passed"] for result in results)
    return {
        "score": score,
        "max_score": most,
        "rule_based_score": by_rule,
        "model_score": by_model,
        "was_bounded": score != by_model,
        "tests_passed": passed,
        "tests_failed": len(results) - passed,
        **{name: value for name, value in judged.items() if name != "score_percent"},
    }


def output(schema: JsonObject) -> JsonObject:
    """See TaskCode."""
    points: JsonObject = {"type": "number", "minimum": 0}
    number: JsonObject = {"type": "integer", "minimum": 0}
    properties: JsonObject = {
        "score": points,
        "max_score": points,
        "rule_based_score": points,
        "model_score": points,
        "was_bounded": {"type": "boolean"},
        "tests_passed": number,
        "tests_failed": number,
    }
    return with_properties(schema, properties, without=["score_percent"])


def rule_based_score(results: Iterable[dict[str, Any]], most: float) -> float:
    """`most`, times the share of the points whose tests passed; 0 if there are no points to be had."""
    points = [(result["points"], result["passed"]) for result in results]
    total = sum(point for point, _ in points)
    return round(most * sum(point for point, passed in points if passed) / total, 2) if total else 0.0


def bounded(by_model: float, by_rule: float, most: float, leeway_percent: float) -> float:
    """The model's score, or the nearest one within `leeway_percent` of `most` around the rule's, from 0 to `most`."""
    leeway = most * leeway_percent / 100
    least, highest = max(0.0, by_rule - leeway), min(most, by_rule + leeway)
    return round(min(max(by_model, least), highest), 2)


def _as_points(percent: float, most: float) -> float:
    return round(min(max(percent, 0), 100) * most / 100, 2)
