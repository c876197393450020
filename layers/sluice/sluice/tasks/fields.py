"""What a task may be given: typed and bounded inputs, and the check of values against them. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, model_validator

from sluice.chat import JsonObject, whole_number
from sluice.errors import InvalidRequestError

type Inputs = dict[str, JsonValue]
"""Checked inputs of a task, defaults filled in."""

MOST_INPUT_BYTES = 200_000
"""All inputs of one request together, as JSON."""
_MOST_DEPTH = 20
_MOST_CHARACTERS = 50_000
_MOST_ITEMS = 500
_MOST_NESTING = 4

type Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
type _Length = Annotated[int, Field(ge=0, le=_MOST_CHARACTERS)]
type _EnumValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+#/-]{0,63}$")]


class Bare(str):
    """A text of the task's author, not of its caller: it goes into a prompt as it is."""

    __slots__ = ()


class Strict(BaseModel):
    """A part of a task file: what is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class _Field(Strict):
    """What all inputs have. `required`, or optional with a default; some types have an empty value for a default."""

    description: Annotated[str, Field(max_length=400)] = ""
    required: bool = False
    default: JsonValue = None
    example: JsonValue = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        is_defaulted = "default" in self.model_fields_set
        if self.required and is_defaulted:
            raise ValueError("should be required or have a default, not both")
        for name in ("default", "example"):
            if name in self.model_fields_set:
                try:
                    self.check(getattr(self, name), name)
                except InvalidRequestError as error:
                    raise ValueError(f"should have a valid {name}: {error.message}") from None
        return self

    def absent(self) -> JsonValue:
        """What an optional input is when nobody gave it."""
        return self.check(self.default, "default") if "default" in self.model_fields_set else self._empty()

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """`value` if it is valid, with defaults inside it filled in; InvalidRequestError naming `where` if not."""
        raise NotImplementedError

    def json_schema(self) -> JsonObject:
        """The JSON Schema of a valid value."""
        schema = self._bounds()
        if self.description:
            schema["description"] = self.description
        if "default" in self.model_fields_set:
            schema["default"] = self.default
        if "example" in self.model_fields_set:
            schema["examples"] = [self.example]
        return schema

    @property
    def may_be_absent(self) -> bool:
        """Whether it is known what to do without a value."""
        return "default" in self.model_fields_set or self._empty() is not None

    def nested(self) -> Iterator["InputField"]:
        """The fields inside this one."""
        yield from ()

    def _empty(self) -> JsonValue:
        return None

    def _bounds(self) -> JsonObject:
        raise NotImplementedError


class StringField(_Field):
    """A text."""

    type: Literal["string"]
    max_length: Annotated[int, Field(ge=1, le=_MOST_CHARACTERS)]
    min_length: _Length | None = None

    @property
    def _shortest(self) -> int:
        return int(self.required) if self.min_length is None else self.min_length

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        if not isinstance(value, str):
            raise _wrong(where, "a string")
        if not self._shortest <= len(value) <= self.max_length:
            raise _wrong(where, f"of {self._shortest} to {self.max_length} characters, and has {len(value)}")
        if self._shortest and not value.strip():
            raise _wrong(where, "more than white space")
        return value

    def _empty(self) -> JsonValue:
        return ""

    def _bounds(self) -> JsonObject:
        return {"type": "string", "minLength": self._shortest, "maxLength": self.max_length}


class IntegerField(_Field):
    """A whole number."""

    type: Literal["integer"]
    minimum: int
    maximum: int

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        number = whole_number(value)
        if not isinstance(number, int) or isinstance(number, bool):
            raise _wrong(where, "a whole number")
        if not self.minimum <= number <= self.maximum:
            raise _wrong(where, f"from {self.minimum} to {self.maximum}")
        return number

    def _bounds(self) -> JsonObject:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class NumberField(_Field):
    """A number."""

    type: Literal["number"]
    minimum: Annotated[float, Field(allow_inf_nan=False)]
    maximum: Annotated[float, Field(allow_inf_nan=False)]

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong(where, "a number")
        if not self.minimum <= value <= self.maximum:
            raise _wrong(where, f"from {self.minimum:g} to {self.maximum:g}")
        return value

    def _bounds(self) -> JsonObject:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


class BooleanField(_Field):
    """Yes or no."""

    type: Literal["boolean"]

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        if not isinstance(value, bool):
            raise _wrong(where, "true or false")
        return value

    def _bounds(self) -> JsonObject:
        return {"type": "boolean"}


class EnumField(_Field):
    """One of the author's own words, which a caller may write in any case: it is known as its author wrote it."""

    type: Literal["enum"]
    values: Annotated[list[_EnumValue], Field(min_length=1, max_length=100)]

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        word = self._word(value) if isinstance(value, str) else None
        if word is None:
            raise _wrong(where, "one of " + ", ".join(self.values))
        return Bare(word)

    def _word(self, given: str) -> str | None:
        if given in self.values:
            return given
        alike = [word for word in self.values if word.casefold() == given.strip().casefold()]
        # An author may mean two things by two cases of a word.
        return alike[0] if len(alike) == 1 else None

    def _bounds(self) -> JsonObject:
        return {"type": "string", "enum": list(self.values)}


class ListField(_Field):
    """Several values of one kind."""

    type: Literal["list"]
    items: "InputField"
    max_items: Annotated[int, Field(ge=1, le=_MOST_ITEMS)]
    min_items: Annotated[int, Field(ge=0, le=_MOST_ITEMS)] | None = None

    @property
    def _fewest(self) -> int:
        return int(self.required) if self.min_items is None else self.min_items

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        if not isinstance(value, list):
            raise _wrong(where, "an array")
        if not self._fewest <= len(value) <= self.max_items:
            raise _wrong(where, f"an array of {self._fewest} to {self.max_items} items, and has {len(value)}")
        return [self.items.check(item, f"{where}[{index}]") for index, item in enumerate(value)]

    def nested(self) -> Iterator["InputField"]:
        """See _Field.nested."""
        yield self.items

    def _empty(self) -> JsonValue:
        return []

    def _bounds(self) -> JsonObject:
        return {
            "type": "array",
            "items": self.items.json_schema(),
            "minItems": self._fewest,
            "maxItems": self.max_items,
        }


class ObjectField(_Field):
    """An object: with `fields` just these, with `max_bytes` whatever the caller likes."""

    type: Literal["object"]
    fields: Annotated[dict[Name, "InputField"], Field(min_length=1, max_length=50)] | None = None
    max_bytes: Annotated[int, Field(ge=2, le=_MOST_CHARACTERS)] | None = None

    @model_validator(mode="after")
    def _is_open_or_closed(self) -> Self:
        if (self.fields is None) == (self.max_bytes is None):
            raise ValueError("should have either fields or max_bytes")
        check_optional(self.fields or {})
        return self

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        if not isinstance(value, dict):
            raise _wrong(where, "an object")
        if self.fields is not None:
            return check_fields(self.fields, value, where)
        _check_size(value, self.max_bytes or 0, where)
        return value

    def nested(self) -> Iterator["InputField"]:
        """See _Field.nested."""
        yield from (self.fields or {}).values()

    def _empty(self) -> JsonValue:
        if self.fields is None:
            return {}
        # A template may ask for any of the fields.
        return None if any(each.required for each in self.fields.values()) else check_fields(self.fields, {}, "")

    def _bounds(self) -> JsonObject:
        return {"type": "object"} if self.fields is None else object_schema(self.fields)


class JsonField(_Field):
    """Any JSON value, a plain text too."""

    type: Literal["json"]
    max_bytes: Annotated[int, Field(ge=2, le=_MOST_CHARACTERS)]

    def check(self, value: JsonValue, where: str) -> JsonValue:
        """See _Field.check."""
        _check_size(value, self.max_bytes, where)
        if self.required and (value is None or value in ("", [], {})):
            raise _wrong(where, "more than an empty value")
        return "" if value is None else value

    def _empty(self) -> JsonValue:
        return ""

    def _bounds(self) -> JsonObject:
        return {}


type InputField = Annotated[
    StringField | IntegerField | NumberField | BooleanField | EnumField | ListField | ObjectField | JsonField,
    Discriminator("type"),
]


def check_fields(fields: Mapping[str, InputField], values: Mapping[str, JsonValue], where: str) -> Inputs:
    """`values` by name, checked, absent ones filled in; InvalidRequestError naming the first that is wrong."""
    place = f"{where}." if where else ""
    for name in values:
        if name not in fields:
            raise InvalidRequestError(
                f"{place}{name[:64]}: there is no such field; known are {', '.join(fields)}.",
                param=f"{place}{name[:64]}",
            )
    checked: Inputs = {}
    for name, field in fields.items():
        if name in values:
            checked[name] = field.check(values[name], place + name)
        elif field.required:
            raise InvalidRequestError(f"{place}{name}: this field is required.", param=place + name)
        else:
            checked[name] = field.absent()
    return checked


def check_inputs(fields: Mapping[str, InputField], values: Mapping[str, JsonValue]) -> Inputs:
    """The inputs of one request, checked one by one and for their size together."""
    checked = check_fields(fields, values, "inputs")
    _check_size(checked, MOST_INPUT_BYTES, "inputs")
    return checked


def object_schema(fields: Mapping[str, InputField]) -> JsonObject:
    """The JSON Schema of an object with these fields."""
    return {
        "type": "object",
        "properties": {name: field.json_schema() for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def check_optional(fields: Mapping[str, InputField]) -> None:
    """ValueError if a field is neither required nor has a default."""
    for name, field in fields.items():
        if not field.required and not field.may_be_absent:
            raise ValueError(f"should have {name!r} required, or with a default")


def check_nesting(fields: Mapping[str, InputField]) -> None:
    """ValueError if fields lie too deep inside each other."""
    level = list(fields.values())
    for _ in range(_MOST_NESTING):
        level = [inner for field in level for inner in field.nested()]
    if level:
        raise ValueError(f"should not nest inputs deeper than {_MOST_NESTING} levels")


def canonical(inputs: Mapping[str, JsonValue]) -> bytes:
    """The same bytes for the same inputs, whatever their order."""
    return json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode("ascii")


def _check_size(value: JsonValue | Inputs, most_bytes: int, where: str) -> None:
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > _MOST_DEPTH:
            raise _wrong(where, f"nested at most {_MOST_DEPTH} levels deep")
        level = [child for node in level for child in _children(node)]
    size = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > most_bytes:
        raise _wrong(where, f"of at most {most_bytes} bytes as JSON, and has {size}")


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _wrong(where: str, expected: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where}: must be {expected}.", param=where)
