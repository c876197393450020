"""Request bodies: from bytes to a validated model, or to an error that says what is wrong and where.

No value of the body is repeated in an error: it may be a prompt or a secret. Names of fields are.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from sluice.errors import InvalidRequestError, PayloadTooLargeError
from sluice.validation.text import whole_characters_of_json

# A function is invoked with at most 6 MiB (AWS Lambda, quotas: invocation payload, synchronous). The event has more in
# it than the body: the headers, twice (at most 10,240 bytes each time; Amazon API Gateway, quotas), and the context.
MAX_BODY_BYTES = 6 * 1024 * 1024 - 64 * 1024

_MAX_PARAM_LENGTH = 128

_UNSEEN = object()


def parse_body[Model: BaseModel](raw: bytes | str, model: type[Model]) -> Model:
    """Read a JSON object as `model`, strictly: a number in quotes is not a number.

    InvalidRequestError if it is not JSON, not an object, or not what the model wants; PayloadTooLargeError if it is
    over MAX_BODY_BYTES.
    """
    body = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if len(body) > MAX_BODY_BYTES:
        raise PayloadTooLargeError(f"The request body has {len(body)} bytes; at most {MAX_BODY_BYTES} are accepted.")
    if not body:
        raise InvalidRequestError("The request body is empty; it must be a JSON object.")
    # Half a character, as a model's answer may leave it in a history, is no reason to refuse the rest.
    body = whole_characters_of_json(body)
    value = _decode(body)
    if not isinstance(value, dict):
        raise InvalidRequestError(f"The request body must be a JSON object, not {_json_type(value)}.")
    try:
        # From the bytes once more: only then does strict mode accept JSON's way of writing dates, enums and tuples.
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise invalid_request(error, value) from None


def invalid_request(error: ValidationError, value: object = _UNSEEN) -> InvalidRequestError:
    """What pydantic found wrong, in the first place it found it. `value` is what was validated, if it is at hand."""
    found = error.errors(include_url=False, include_context=True, include_input=False)
    places = [(_place(each["loc"], each["type"], value), each) for each in found]
    first = places[0][0]
    # A union complains once for each of its members, all at the same place or below it: the deepest came nearest.
    related = [(place, each) for place, each in places if place[: len(first)] == first]
    deepest = max((place for place, _ in related), key=len)
    reasons = dict.fromkeys(_reason(each["type"], each["msg"]) for place, each in related if place == deepest)
    param = _param(deepest)
    message = "; or ".join(reasons)
    return InvalidRequestError(f"{param}: {message}." if param else f"{message}.", param=param or None)


def _decode(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_object_of_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequestError(f"The request body is not valid JSON: {error.msg} at {where}.") from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"The request body is not valid UTF-8: see byte {error.start}.") from None
    except RecursionError:
        raise InvalidRequestError("The request body is not accepted: it is nested too deeply.") from None
    except ValueError:
        # Python's own limit on the digits of a whole number, the only other ValueError of json.
        raise InvalidRequestError("The request body is not accepted: a number in it is too long.") from None


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise InvalidRequestError(f"The field {repeated[:_MAX_PARAM_LENGTH]!r} is given twice.")
    return built


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequestError(f"The request body is not valid JSON: {name} is not a JSON number.")


def _finite_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise InvalidRequestError("The request body is not accepted: a number in it is too large.")
    return number


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _place(location: tuple[int | str, ...], kind: str, value: Any) -> tuple[int | str, ...]:
    """Where in the body an error is: pydantic's location without the names of union members, which are not in it.

    A member may be called as one of its fields is: of the readings that end where the error is, the longest counts.
    """
    if value is _UNSEEN:
        return location
    place, _ = max(_readings(location, kind, value), key=_depth)
    return place


type _Reading = tuple[tuple[int | str, ...], bool]
"""A place, and whether it ends with the last step of the location."""


def _depth(reading: _Reading) -> tuple[bool, int]:
    place, is_whole = reading
    return is_whole, len(place)


def _readings(location: tuple[int | str, ...], kind: str, value: Any) -> Iterator[_Reading]:
    if not location:
        yield (), True
        return
    step, rest = location[0], location[1:]
    is_there = _has(value, step)
    if is_there:
        yield from (((step, *place), is_whole) for place, is_whole in _readings(rest, kind, value[step]))
    elif kind == "missing" and not rest:
        yield (step,), True
    if isinstance(step, str) or not is_there:
        yield from ((place, bool(rest) and is_whole) for place, is_whole in _readings(rest, kind, value))


def _has(value: object, step: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _param(place: tuple[int | str, ...]) -> str:
    """The place as it is written in code: `messages[0].content`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")[:_MAX_PARAM_LENGTH]


def _reason(kind: str, message: str) -> str:
    if kind == "missing":
        return "this field is required"
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "union_tag_invalid":
        # Pydantic's own words would repeat the input.
        return "the value is none of those expected"
    if kind == "json_invalid":
        return message.replace("Invalid JSON", "the request body is not valid JSON")
    # "Input should be", "Tuple should have": what Python calls the value is of no use to the caller.
    subject, verb, rest = message.removeprefix("Value error, ").replace(" after validation", "").partition("should ")
    return f"{verb}{rest}" if verb else subject
