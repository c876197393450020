"""Vectors of texts, and what a provider is asked for them: apart from a caller's request, which few processes need."""

import math
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import field

from sluice.chat import JsonObject
from sluice.loading.dataclass import dataclass

_BYTES_PER_NUMBER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """Texts of which a provider is asked for vectors in one call, each to have so many `dimensions`.

    `is_shortened`: these are fewer than the model's own, or the caller named them, and the provider has to be told.
    `further` are other fields of the request, and `first` is the place of the first text among all of the request.
    """

    texts: tuple[str, ...]
    dimensions: int
    is_shortened: bool = False
    user: str | None = None
    further: JsonObject = field(default_factory=dict)
    first: int = 0


type Vector = Sequence[float]
"""The numbers of an embedding: as a list, as they were written, or as an array of what floats of 32 bits hold."""


def from_base64(text: str) -> Vector:
    """The vector that little-endian floats of 32 bits, in base64, stand for. Raises ValueError."""
    content = b64decode(text, validate=True)
    if len(content) % _BYTES_PER_NUMBER:
        raise ValueError("the base64 of a vector ends within a number")
    numbers = array("f")
    numbers.frombytes(content)
    return numbers


def to_base64(vector: Vector) -> str:
    """A vector as little-endian floats of 32 bits, in base64."""
    numbers = vector if isinstance(vector, array) else array("f", vector)
    return b64encode(numbers.tobytes()).decode()


def is_finite(vector: Vector) -> bool:
    """Whether all of it are numbers that floats of 32 bits hold. TypeError if something in it is no number."""
    numbers = vector if isinstance(vector, array) else array("f", vector)
    # The sum of a vector's finite floats of 32 bits is a finite float of 64, and of anything else it is not.
    return math.isfinite(sum(numbers))


def of_length_one(vector: Vector) -> Vector:
    """The vector that points the same way and has the length 1. ValueError for one without a direction."""
    length = math.sqrt(math.sumprod(vector, vector))
    if not length:
        raise ValueError("a vector of zeros points nowhere")
    return [number / length for number in vector]
