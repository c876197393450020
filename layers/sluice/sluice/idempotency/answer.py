"""Answers as they are kept: the JSON of the body, or of each event, compressed, and what stands around it. Pure."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from typing import Any, Self

from sluice.loading.dataclass import dataclass

MOST_BYTES = 350 * 1024
"""The largest answer that is kept, compressed. DynamoDB takes items of 400 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptError:
    """An error that an answer was, or that a stream ended with: its status, and OpenAI's error object."""

    status: int
    message: str
    type: str
    param: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What stands around an answer. `request_id` is of the request that it was given to."""

    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_streamed: bool = False
    error: KeptError | None = None

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As it was stored. What a later version added is left out."""
        stored: dict[str, Any] = json.loads(text)
        known = {each.name: stored[each.name] for each in fields(cls) if each.name in stored}
        error = known.get("error")
        return cls(**known | {"error": None if error is None else KeptError(**error)})


class AnswerPacker:
    """Compresses an answer as it arrives, one JSON text after another, and stops where it is too large."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj()
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        """Add one JSON text, which has no line break."""
        if self._size <= MOST_BYTES:
            self._take(self._compressor.compress(line + b"\n"))

    def packed(self) -> bytes | None:
        """The whole of it, None if it is too large. Nothing can be added afterwards."""
        if self._size <= MOST_BYTES:
            self._take(self._compressor.flush())
        return b"".join(self._parts) if self._size <= MOST_BYTES else None

    def _take(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)


def unpacked(packed: bytes) -> list[bytes]:
    """The JSON texts of an answer. zlib.error for what is none."""
    return zlib.decompress(packed).splitlines()
