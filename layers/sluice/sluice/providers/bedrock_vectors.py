"""Embeddings of Amazon Bedrock: each maker of models has a form of its own for them. Pure.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sluice.chat import JsonObject
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderRejectedError
from sluice.providers.decoding import Decoded, UnreadableError
from sluice.providers.exchange import Dialect


def vectors_call(batch: TextBatch, model: str) -> tuple[JsonObject, Dialect]:
    """The body that asks `model` for the vectors of a batch, and how its answer is read.

    Raises ProviderRejectedError for a model whose form is not known.
    """
    if "titan-embed" in model:
        if len(batch.texts) > 1:
            raise ProviderRejectedError(f"{model} takes one text at a time: `most_inputs` must be 1", was_sent=False)
        body: JsonObject = {"inputText": batch.texts[0], **batch.further}
        if batch.is_shortened:
            body["dimensions"] = batch.dimensions
        return body, TitanVectors()
    if "cohere.embed" in model:
        body = {"texts": list(batch.texts), "input_type": "search_document", **batch.further}
        if batch.is_shortened:
            body["output_dimension"] = batch.dimensions
        return body, CohereVectors()
    raise ProviderRejectedError(f"embeddings of {model} are in a form that is not known here", was_sent=False)


class _Whole:
    """Vectors do not come in streams."""

    def objects(self, parts: Iterable[bytes]) -> Iterator[Decoded]:
        """Raises UnreadableError."""
        raise UnreadableError("vectors do not come in streams")


class TitanVectors(_Whole):
    """`{"embedding": [...], "inputTextTokenCount": 3}`."""

    def answer(self, body: Any) -> Any:
        """OpenAI's list of vectors; what is none as it is."""
        if not isinstance(body, dict) or "embedding" not in body:
            return body
        counted = body.get("inputTextTokenCount")
        return {"data": [{"embedding": body["embedding"]}], "usage": {"prompt_tokens": counted}}


class CohereVectors(_Whole):
    """`{"embeddings": [[...], ...]}`, or `{"embeddings": {"float": [[...], ...]}}`. It does not count tokens."""

    def answer(self, body: Any) -> Any:
        """OpenAI's list of vectors; what is none as it is."""
        found = body.get("embeddings") if isinstance(body, dict) else None
        if isinstance(found, dict):
            found = found.get("float")
        return {"data": [{"embedding": each} for each in found]} if isinstance(found, list) else body
