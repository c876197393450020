"""Embeddings of a provider: what is sent, and what is made of the answer. Pure.

A vector that can't be right is the provider's failure: it never reaches a caller, who could not tell.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from sluice.chat import JsonObject, whole_number
from sluice.embeddings.vectors import TextBatch, Vector, from_base64, is_finite
from sluice.errors import ProviderProtocolError
from sluice.providers.failures import failure_in_answer

# Of 2,048 vectors with 1,536 numbers written out; the same in base64 are a quarter of it.
MAX_VECTORS_BYTES = 64 * 1024 * 1024


class Asked(Protocol):
    """What an answer answers."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in an error's text."""


def openai_body(batch: TextBatch, model: str, *, as_base64: bool) -> JsonObject:
    """What OpenAI's protocol asks for the vectors of a batch. base64 is a quarter of the bytes of numbers."""
    body: JsonObject = {"model": model, "input": list(batch.texts)}
    if batch.is_shortened:
        body["dimensions"] = batch.dimensions
    if as_base64:
        body["encoding_format"] = "base64"
    if batch.user is not None:
        body["user"] = batch.user
    return body | batch.further


def vectors_in(body: Any, batch: TextBatch, headers: Mapping[str, str], asked: Asked) -> tuple[Vector, ...]:
    """The vectors of an answer in the order of the batch. Raises ProviderError for what is none.

    An answer is OpenAI's object, or a list of vectors. An index that is not the vector's own place is not believed, nor
    is the place: which of the two is right can't be known.
    """
    if isinstance(body, dict) and (body.get("error") or body.get("object") == "error"):
        raise failure_in_answer(body, headers, secrets=asked.secrets)
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise ProviderProtocolError("the answer has no vectors")
    if len(rows) != len(batch.texts):
        raise ProviderProtocolError(f"the answer has {len(rows)} vectors for {len(batch.texts)} texts")
    return tuple(_vector(row, position, batch.dimensions) for position, row in enumerate(rows))


def tokens_in(body: Any) -> int | None:
    """The tokens that the provider counted, None if it did not."""
    usage = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return None
    counts = [whole_number(usage.get(name)) for name in ("prompt_tokens", "input_tokens", "total_tokens")]
    return max((each for each in counts if type(each) is int and each > 0), default=None)


def _vector(row: Any, position: int, dimensions: int) -> Vector:
    if isinstance(row, dict):
        index = whole_number(row.get("index"))
        if index is not None and (type(index) is not int or index != position):
            raise ProviderProtocolError("the answer's vectors are not in the order of the texts")
        row = row.get("embedding")
    if not isinstance(row, str | list):
        raise ProviderProtocolError("the answer has something in the place of a vector that is none")
    try:
        vector = from_base64(row) if isinstance(row, str) else row
        if bool in set(map(type, vector)) or not is_finite(vector):
            raise ProviderProtocolError("the answer has a vector with something that is no finite number")
    except (TypeError, ValueError, OverflowError):
        raise ProviderProtocolError("the answer has something in the place of a vector that is none") from None
    if len(vector) != dimensions:
        raise ProviderProtocolError(f"the answer has a vector of {len(vector)} dimensions in place of {dimensions}")
    return vector
