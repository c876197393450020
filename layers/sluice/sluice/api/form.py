"""Forms with a file, multipart/form-data: as clients upload files."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, InstanceOf, ValidationError, WithJsonSchema
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sluice.errors import InvalidRequestError
from sluice.validation.body import invalid_request

_MOST_PARTS = 32
_MOST_FIELD_BYTES = 4_096
_NESTED = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


class SentFile:
    """A file in a form. No dataclass, which the API's description would take apart."""

    __slots__ = ("content", "filename")

    def __init__(self, filename: str, content: bytes) -> None:
        self.filename = filename
        self.content = content


_BYTES = {"type": "string", "contentMediaType": "application/octet-stream"}
FormFile = Annotated[InstanceOf[SentFile], WithJsonSchema(_BYTES)]
"""A field of a form's model that is a file."""


def parse_form[Model: BaseModel](raw: bytes, content_type: str, model: type[Model]) -> Model:
    """Read a form as `model`. InvalidRequestError if it is none, or not what the model wants."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidRequestError("The request body must be a form: multipart/form-data, with the file as a part.")
    values = _Reader(boundary).read(raw)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_request(error, values) from None


class _Reader:
    """Reads one form. The parser calls it back."""

    def __init__(self, boundary: bytes) -> None:
        self._values: dict[str, Any] = {}
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._content = bytearray()
        self._parts = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
                "on_part_end": self._end,
            },
        )

    def read(self, raw: bytes) -> dict[str, Any]:
        """The fields of the form."""
        try:
            self._parser.write(raw)
            self._parser.finalize()
        except FormParserError:
            raise InvalidRequestError("The request body is not a form, or breaks off.") from None
        if not self._parts:
            raise InvalidRequestError("The request body is a form without any part.")
        return self._values

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidRequestError(f"The form has more than {_MOST_PARTS} parts.")
        self._headers.clear()
        self._content = bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        if filename is not None:
            self._values[name] = SentFile(filename.decode("utf-8", "replace"), bytes(self._content))
            return
        if len(self._content) > _MOST_FIELD_BYTES:
            raise InvalidRequestError(f"The field {name[:64]!r} has more than {_MOST_FIELD_BYTES} bytes.")
        text = bytes(self._content).decode("utf-8", "replace")
        if nested := _NESTED.fullmatch(name):
            within = self._values.setdefault(nested[1], {})
            if isinstance(within, dict):
                within[nested[2]] = text
            return
        self._values[name] = text
