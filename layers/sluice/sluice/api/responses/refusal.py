"""Refusals of what a request has, and Sluice can't carry: each names the field. Pure."""

from collections.abc import Collection, Mapping

from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError

_LONGEST_NAME = 64


def refused(place: str, reason: str, code: str = "unsupported_parameter") -> InvalidRequestError:
    """The error for a field that can't be carried."""
    return InvalidRequestError(f"{place}: {reason}", param=place[:128], code=code)


def invalid(place: str, reason: str) -> InvalidRequestError:
    """The error for a field whose value can't be."""
    return InvalidRequestError(f"{place}: {reason}", param=place[:128])


def only(given: JsonObject, known: Collection[str], place: str) -> None:
    """Refuse what `given`, the object at `place`, has beside the `known` fields. A field that is null says nothing."""
    for name, value in given.items():
        if name not in known and value is not None:
            raise refused(f"{place}.{str(name)[:_LONGEST_NAME]}", "Sluice can't carry this field to a model.")


def of_type[T](value: object, wanted: type[T], place: str) -> T:
    """The value, if it is of the type that is wanted."""
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise invalid(place, f"should be {_WORDS[wanted]}.")
    return value


def text_in(given: JsonObject, name: str, place: str) -> str:
    """The text of a field that has to be there."""
    return of_type(given.get(name), str, f"{place}.{name}")


_WORDS: Mapping[type, str] = {str: "a text", dict: "an object", list: "a list", bool: "true or false", int: "a number"}
