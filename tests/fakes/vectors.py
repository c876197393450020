"""What the fake provider answers to a request for embeddings. Deterministic: a text has the same vector every time.

Usage rule: a token for each four characters of a text, rounded up, and 1 more.
"""

import base64
import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.settings import EmbeddingSettings

type Json = dict[str, Any]


def vector_of(text: str, dimensions: int) -> list[float]:
    """The vector of a text: numbers that floats of 32 bits hold, and whose first says how long the text is."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(dimensions)
    return [float(len(text)), *((byte - 128) / 128 for byte in digest[1:])]


@dataclass(frozen=True, slots=True)
class VectorAnswer:
    """An answer before it is written."""

    request: Json
    settings: EmbeddingSettings
    prompt_tokens: int
    completion_tokens: int = 0

    @classmethod
    def of(cls, request: Json, settings: EmbeddingSettings) -> "VectorAnswer":
        """The answer to a request, whose texts are checked as OpenAI checks them. Raises ValueError."""
        texts = request["input"]
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("input has an empty text")
        if len(texts) > settings.most_inputs:
            raise ValueError(f"at most {settings.most_inputs} texts in a batch")
        if settings.refuses_base64 and request.get("encoding_format") == "base64":
            raise ValueError("encoding_format: base64 is not supported")
        return cls(request, settings, sum(math.ceil(len(text) / 4) + 1 for text in texts))

    @property
    def tokens(self) -> int:
        return self.prompt_tokens

    @property
    def is_base64(self) -> bool:
        return self.request.get("encoding_format") == "base64" and not self.settings.ignores_base64

    def body(self) -> Json | list[list[float]]:
        """OpenAI's list, or Hugging Face's, which is the vectors and nothing else."""
        dimensions = self.request.get("dimensions") or self.settings.dimensions
        vectors = [vector_of(text, dimensions) for text in self.request["input"]]
        if self.settings.is_bare:
            return vectors
        rows = [
            {"object": "embedding", "index": index, "embedding": self._written(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens}
        return {"object": "list", "data": rows, "model": self.request["model"], "usage": usage}

    def chunks(self) -> Iterator[Json]:
        """There are no streams of vectors."""
        yield from ()

    def _written(self, vector: list[float]) -> list[float] | str:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if self.is_base64 else vector
