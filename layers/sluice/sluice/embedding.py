"""The provider-neutral types of an embedding: OpenAI's request, what of it is asked at once, and vectors."""

import math
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, FailFast, Field

from sluice.catalog import MOST_INPUTS
from sluice.chat import Count, JsonObject, Labels, Metadata, PassThrough
from sluice.text import IN_ANY_CASE

type EncodingFormat = Literal["float", "base64"]

_PLAIN_FIELDS = frozenset({"model", "input", "encoding_format", "user", "metadata"})
_BYTES_PER_NUMBER = 4


def _checked(value: Any) -> Any:
    """What `input` is, if it can be read at all: pydantic would complain once for each form that it may have."""
    if isinstance(value, str):
        texts: list[Any] = [value]
    elif isinstance(value, list):
        texts = value
    else:
        raise ValueError("must be a text or a list of texts")  # noqa: TRY004 -- what pydantic takes for a mistake
    if any(isinstance(each, int | float | list) for each in texts):
        raise ValueError("arrays of tokens are not taken, as each model has a tokenizer of its own: send texts")
    if not texts:
        raise ValueError("must have at least one text")
    if len(texts) > MOST_INPUTS:
        raise ValueError(f"has {len(texts)} texts; the most is {MOST_INPUTS}")
    wrong = next((position for position, text in enumerate(texts) if not isinstance(text, str) or not text), None)
    if wrong is not None:
        what = "an empty text" if texts[wrong] == "" else "something that is no text"
        raise ValueError(f"has {what} at position {wrong}")
    return value


type _Text = Annotated[str, Field(min_length=1)]
type _Input = Annotated[
    _Text | Annotated[list[_Text], Field(min_length=1, max_length=MOST_INPUTS), FailFast()], BeforeValidator(_checked)
]


class EmbeddingRequest(PassThrough):
    """The body of POST /v1/embeddings. Null means the same as leaving a field out."""

    model: str = Field(min_length=1, max_length=256)
    input: _Input
    dimensions: Count | None = None
    encoding_format: Annotated[EncodingFormat, IN_ANY_CASE] | None = None
    user: str | None = None
    metadata: Metadata | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What vectors are wanted of, in order."""
        return (self.input,) if isinstance(self.input, str) else tuple(self.input)

    @property
    def labels(self) -> Labels:
        """What the request says of itself to Sluice."""
        own = self.metadata
        if own is None:
            return Labels()
        return own.old_labels or Labels(own.sluice_user, own.sluice_task)

    def labelled(self, labels: Labels) -> Self:
        """The request with `labels` in place of its own, as far as they say something."""
        own = self.labels
        said = {"sluice_user": labels.user or own.user, "sluice_task": labels.task or own.task}
        kept = {} if self.metadata is None else self.metadata.model_dump(exclude_unset=True)
        named = {name: value for name, value in said.items() if value is not None}
        return self.model_copy(update={"metadata": Metadata.model_validate(kept | named)}) if named else self

    @property
    def is_plain(self) -> bool:
        """Whether it asks no more of a model than vectors of texts: what is refused of it is refused of anybody."""
        given = self.model_fields_set | (self.model_extra or {}).keys()
        return {name for name in given if getattr(self, name, None) is not None} <= _PLAIN_FIELDS

    @property
    def further_fields(self) -> JsonObject:
        """What OpenAI does not document, as it came."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """Texts of which a provider is asked for vectors in one call, each to have so many `dimensions`.

    `is_shortened`: these are fewer than the model's own, or the caller named them, and the provider has to be told.
    `further` are other fields of the request.
    """

    texts: tuple[str, ...]
    dimensions: int
    is_shortened: bool = False
    user: str | None = None
    further: JsonObject = field(default_factory=dict)


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
