"""Lines of a batch's file: what each has to be. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass
from sluice.validation.body import parse_body

MOST_LINE_BYTES = 1024 * 1024
"""How long a line may be. It is kept in memory, with nine others."""


class BatchLine(BaseModel):
    """One request: OpenAI's format of batch files."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    custom_id: Annotated[str, Field(min_length=1, max_length=256)]
    method: Literal["POST"]
    url: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line as it stands in the file: its number, the first being 1, and where it begins and ends, in bytes."""

    number: int
    start: int
    end: int
    text: bytes


def raw_lines(pieces: Iterable[bytes]) -> Iterator[RawLine]:
    """The lines of a file that have anything in them. One that is too long comes cut to one byte more than may be."""
    number, start, kept, length, says = 0, 0, bytearray(), 0, False
    for piece in pieces:
        parts = piece.split(b"\n")
        for index, part in enumerate(parts):
            length += len(part)
            # Looked at before it is cut: what is said behind a megabyte of blanks is a line as well.
            says = says or bool(part.strip())
            kept += part[: MOST_LINE_BYTES + 1 - len(kept)]
            if index < len(parts) - 1:
                number += 1
                if says:
                    yield RawLine(number, start, start + length, bytes(kept))
                start, length, says = start + length + 1, 0, False
                kept.clear()
    if says:
        yield RawLine(number + 1, start, start + length, bytes(kept))


def read_line(raw: RawLine, endpoint: str) -> BatchLine:
    """What a line asks for. Raises InvalidRequestError, which says what would be right."""
    if len(raw.text) > MOST_LINE_BYTES:
        raise InvalidRequestError(
            f"The line has {raw.end - raw.start} bytes; at most {MOST_LINE_BYTES} are taken.", code="line_too_long"
        )
    text = raw.text.removeprefix(b"\xef\xbb\xbf") if raw.number == 1 else raw.text
    try:
        line = parse_body(text, BatchLine)
    except InvalidRequestError as error:
        message = error.message.replace("The request body", "The line").replace("the request body", "the line")
        raise InvalidRequestError(message, param=error.param, code="invalid_line") from None
    if line.url != endpoint:
        raise InvalidRequestError(
            f"url: should be {endpoint}, which the batch is for.", param="url", code="mismatched_url"
        )
    return line


def body_of(line: BatchLine) -> bytes:
    """The body of the request, as JSON."""
    return json.dumps(line.body, ensure_ascii=True, separators=(",", ":")).encode()
