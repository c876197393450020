"""Settings of a deployment: their defaults and bounds, which template.yaml has as well."""

import re
from typing import Any

import pytest

from sluice.settings import Settings
from tools import template

WHOLE = {
    "INTERACTIVE_SHARE_PERCENT": (0, 90),
    "CACHE_TTL_SECONDS": (0, 31_622_400),
    "DEFAULT_MAX_TOKENS": (0, 10**9),
    "MAX_RETRIES": (0, 10),
    "MAX_ATTEMPTS": (0, 100),
    "CIRCUIT_FAILURES": (1, 100),
    "CIRCUIT_OPEN_SECONDS": (1, 3_600),
    "CIRCUIT_SUCCESSES": (1, 10),
    "CONVERSATION_MESSAGES": (1, 100),
    "CONVERSATION_TOKENS": (1, 1_000_000),
    "PROMPT_MAX_CHARACTERS": (1, 10**9),
    "CALLER_REQUESTS_PER_MINUTE": (1, 10**9),
    "CALLER_REQUESTS_PER_DAY": (1, 10**9),
    "USER_REQUESTS_PER_MINUTE": (0, 10**9),
    "USER_REQUESTS_PER_DAY": (0, 10**9),
}
NUMBERS = {
    "DEFAULT_TEMPERATURE": (0, 2),
    "SMART_MODEL_MAX_PERCENT": (0, 100),
    "REQUEST_TIMEOUT_SECONDS": (0.1, 890),
    "ROUTING_HEALTH_WEIGHT": (0, 1_000),
    "ROUTING_QUOTA_WEIGHT": (0, 1_000),
    "ROUTING_SPEED_WEIGHT": (0, 1_000),
}
WORDS = {
    "CACHE_POLICY": "unsampled, all, off",
    "GUARD_MODE": "block, flag, off",
    "ROUTING_ENABLED": "true, false",
}
NO_NUMBERS = ("nan", "NaN", "inf", "-inf", "1e999", "an hour", "0x10", "1,5", "[]", "None", "true")


def refusal(name: str, value: str) -> str:
    with pytest.raises(ValueError, match=f"^{name} must be ") as raised:
        Settings.from_environment({name: value})
    return str(raised.value)


def parameters_by_variable() -> dict[str, Any]:
    """The parameter that each variable of the functions is."""
    source = template.load()
    variables = source["Resources"]["ChatFunction"]["Properties"]["Environment"]["Variables"]
    named = {name: value["Ref"] for name, value in variables.items() if isinstance(value, dict) and "Ref" in value}
    return {
        name: source["Parameters"][parameter] for name, parameter in named.items() if parameter in source["Parameters"]
    }


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_is_taken_within_its_bounds_and_refused_beyond_them(name: str) -> None:
    least, most = WHOLE[name]
    for taken in (least, most, f" {most} ", f"{least}.0"):
        Settings.from_environment({name: str(taken)})
    for wrong in (str(least - 1), str(most + 1), str(least + 0.5), str(10**30), *NO_NUMBERS):
        assert refusal(name, wrong) == f"{name} must be a whole number from {least:,} to {most:,}, got {wrong!r}"


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_taken_within_its_bounds_and_refused_beyond_them(name: str) -> None:
    least, most = NUMBERS[name]
    for taken in (least, most, (least + most) / 2):
        Settings.from_environment({name: str(taken)})
    for wrong in (str(least - 0.2), str(most + 0.2), *NO_NUMBERS):
        assert refusal(name, wrong) == f"{name} must be a number from {least:g} to {most:g}, got {wrong!r}"


@pytest.mark.parametrize("name", WORDS)
def test_a_word_that_is_none_of_those_there_are_is_refused_with_them(name: str) -> None:
    for word in WORDS[name].split(", "):
        Settings.from_environment({name: word})
    assert refusal(name, "maybe") == f"{name} must be one of {WORDS[name]}, got 'maybe'"


def test_what_is_empty_is_as_if_it_were_not_there() -> None:
    names = [*WHOLE, *NUMBERS, *WORDS]
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings.from_environment({})


def test_the_template_has_the_same_defaults() -> None:
    parameters = parameters_by_variable()
    deployed = {name: str(parameters[name]["Default"]) for name in (*WHOLE, *NUMBERS, *WORDS)}
    assert Settings.from_environment(deployed) == Settings.from_environment({})


def test_what_the_template_lets_through_is_taken() -> None:
    parameters = parameters_by_variable()
    for name in (*WHOLE, *NUMBERS):
        if parameters[name]["Type"] == "Number":
            Settings.from_environment({name: str(parameters[name]["MinValue"])})
            Settings.from_environment({name: str(parameters[name].get("MaxValue", 10**9))})
    for name, words in WORDS.items():
        assert parameters[name]["AllowedValues"] == words.split(", ")


@pytest.mark.parametrize("temperature", ["", "0", "0.7", "1.25", "2", "2.0"])
def test_a_temperature_that_the_template_lets_through_is_one(temperature: str) -> None:
    assert re.fullmatch(parameters_by_variable()["DEFAULT_TEMPERATURE"]["AllowedPattern"], temperature)
    found = Settings.from_environment({"DEFAULT_TEMPERATURE": temperature}).default_temperature
    assert found == (float(temperature) if temperature else None)


@pytest.mark.parametrize("temperature", ["2.1", "-0.1", "3", "nan", ".", "0.", "1e0", " 1", "hot", "11"])
def test_what_is_no_temperature_is_refused_by_the_template(temperature: str) -> None:
    assert not re.fullmatch(parameters_by_variable()["DEFAULT_TEMPERATURE"]["AllowedPattern"], temperature)
