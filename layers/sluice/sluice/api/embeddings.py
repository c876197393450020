"""Embeddings, as OpenAI's API has them: POST /v1/embeddings."""

from dataclasses import replace
from typing import Literal, TypedDict

from sluice.api.route import Call, Reply, Routes
from sluice.embeddings.request import EmbeddingRequest
from sluice.embeddings.vectors import Vector, to_base64
from sluice.tenants.tenant import Role

ROUTES = Routes("Embeddings")

# Of a number as it is written, with its comma, and as four bytes in base64; of what stands around a vector.
_USUAL_ENCODING = "float"
_BYTES_PER_NUMBER = {"float": 22.0, "base64": 16 / 3}
_BYTES_PER_VECTOR = 100
# A function makes an answer of 1,024 MB of memory, and one of numbers takes some five times its bytes.
_MOST_BYTES = 80 * 1024 * 1024


class Embedding(TypedDict):
    """The vector of one text: numbers, or little-endian floats of 32 bits in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(TypedDict):
    """Tokens as the provider counted them, or as they were estimated if it does not."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(TypedDict):
    """OpenAI's list of embeddings, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


def _check(call: Call[EmbeddingRequest]) -> int:
    asked = call.body.labelled(call.labels)
    return call.app.embedding_gateway.check(asked, call.principal, _most_numbers(asked, call.most_answer_bytes))


@ROUTES.post(
    "/v1/embeddings",
    role=Role.CALLER,
    example={"model": "text-embedding-3-small", "input": ["Why is the sky blue?"], "encoding_format": "float"},
    asks_a_model=True,
    asks_once=True,
    check=_check,
)
def create_embeddings(call: Call[EmbeddingRequest]) -> Reply[EmbeddingList]:
    """Make the vectors of texts.

    OpenAI's API: any OpenAI client works with `/v1` as its base URL. `input` is a text or up to 2,048 of them, none
    empty; arrays of tokens are refused. Large requests are cut into what a provider takes at once, and answered in
    order. `model` is a model's name or alias, and only its own deployments answer: vectors of two models can't be
    compared. `dimensions` asks for shorter vectors where the model has them. The headers `x-sluice-user` and
    `x-sluice-task`, or `metadata.sluice_user` and so on, keep usage apart; `metadata` is not passed on.
    """
    asked = call.body.labelled(call.labels)
    most_numbers = _most_numbers(asked, call.most_answer_bytes)
    context = replace(call.context, operation="embedding")
    found = call.app.embedding_gateway.embed(asked, call.principal, context, most_numbers)
    encoding = asked.encoding_format or _USUAL_ENCODING
    body: EmbeddingList = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, encoding)}
            for index, vector in enumerate(found.vectors)
        ],
        "model": found.model,
        "usage": {"prompt_tokens": found.usage.prompt_tokens, "total_tokens": found.usage.total_tokens},
    }
    return Reply(body, found.provenance)


def _most_numbers(asked: EmbeddingRequest, most_answer_bytes: float) -> int:
    most_bytes = min(most_answer_bytes, _MOST_BYTES) - _BYTES_PER_VECTOR * len(asked.texts)
    return int(most_bytes / _BYTES_PER_NUMBER[asked.encoding_format or _USUAL_ENCODING])


def _written(vector: Vector, encoding: str) -> list[float] | str:
    return to_base64(vector) if encoding == "base64" else list(vector)
