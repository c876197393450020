"""The parameters of template.yaml, checked before anything is built."""

import difflib
import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

from sluice.settings import Settings


class ParameterError(ValueError):
    """A parameter that the template does not have or take."""


def parse(text: str, declared: Mapping[str, Any]) -> dict[str, str]:
    """Read `Name=value Other="two words"`, with names and values that `declared`, a template's parameters, allow.

    Raises ParameterError, which says what would be right.
    """
    given = {}
    for word in shlex.split(text):
        name, separator, value = word.partition("=")
        if not separator:
            raise ParameterError(f"a parameter is written Name=value, got {word!r}")
        if name not in declared:
            near = difflib.get_close_matches(name, declared, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else "docs/parameters.md has all of them"
            raise ParameterError(f"there is no parameter {name}; {hint}")
        _check(name, value, declared[name])
        given[name] = value
    return given


def parse_for_this_machine(text: str, source: Mapping[str, Any]) -> dict[str, str]:
    """Read what `parse` reads, of what functions are told, and of nothing that makes another stack of it.

    Raises ParameterError, also for what the template's rules have against it.
    """
    given = parse(text, source["Parameters"])
    read = {
        value["Ref"]
        for resource in source["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for value in resource["Properties"]["Environment"]["Variables"].values()
        if isinstance(value, Mapping) and "Ref" in value
    }
    if others := [name for name in given if name not in read]:
        raise ParameterError(f"{', '.join(others)} means nothing on this machine: functions are not told of it")
    defaults = {name: str(parameter["Default"]) for name, parameter in source["Parameters"].items()}
    # In a region that the rules have nothing against.
    if refused := refusals(source, defaults | given, "us-east-1"):
        raise ParameterError(" ".join(refused))
    return given


def _check(name: str, value: str, parameter: Mapping[str, Any]) -> None:
    allowed = [str(each) for each in parameter.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    if (pattern := parameter.get("AllowedPattern")) and not re.fullmatch(pattern, value):
        raise ParameterError(f"{name} must match {pattern}, got {value!r}")
    if parameter["Type"] != "Number":
        return
    try:
        number = float(value)
    except ValueError:
        raise ParameterError(f"{name} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ParameterError(f"{name} must be a number, got {value!r}")
    least, most = parameter.get("MinValue", number), parameter.get("MaxValue", number)
    if not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise ParameterError(f"{name} must be {bound}, got {value}")


def refusals(source: Mapping[str, Any], values: Mapping[str, str], region: str) -> list[str]:
    """What the template's rules have against these values in this region, as CloudFormation would say it.

    And what the functions have, which would not start: that a number has to be whole, for one.
    """
    known = {**values, "AWS::Region": region}
    refused = [
        assertion["AssertDescription"]
        for rule in source["Rules"].values()
        if _holds(rule.get("RuleCondition", True), known)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], known)
    ]
    return [*refused, *_refused_settings(source, values)]


def _refused_settings(source: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """Why the functions would not start with these values of the parameters."""
    variables = source["Resources"]["ChatFunction"]["Properties"]["Environment"]["Variables"]
    named = {name: given["Ref"] for name, given in variables.items() if isinstance(given, dict) and "Ref" in given}
    told = {name: parameter for name, parameter in named.items() if parameter in values}
    try:
        Settings.from_environment({name: values[parameter] for name, parameter in told.items()})
    except ValueError as error:
        return [re.sub(r"[A-Z][A-Z_]+[A-Z]", lambda found: told.get(found[0], found[0]), str(error))]
    return []


def _holds(expression: Any, known: Mapping[str, str]) -> bool:
    if isinstance(expression, bool):
        return expression
    [(function, arguments)] = expression.items()
    match function:
        case "Fn::Equals":
            return _value(arguments[0], known) == _value(arguments[1], known)
        case "Fn::Contains":
            return _value(arguments[1], known) in arguments[0]
        case "Fn::Not":
            return not _holds(arguments[0], known)
        case "Fn::And":
            return all(_holds(each, known) for each in arguments)
        case "Fn::Or":
            return any(_holds(each, known) for each in arguments)
    raise ValueError(f"a rule of template.yaml uses {function}, which is not known here")


def _value(expression: Any, known: Mapping[str, str]) -> str:
    return known[expression["Ref"]] if isinstance(expression, dict) else str(expression)
