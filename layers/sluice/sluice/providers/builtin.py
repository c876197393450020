"""What Sluice's own functions answer by themselves: the vectors of the embedding model that is in their layer."""

import math
import time
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from sluice.chat import ChatRequest
from sluice.embeddings.vectors import TextBatch, Vector
from sluice.errors import NO_KNOWN_WORDS, ProviderRejectedError, ProviderTimeoutError, ProviderUnavailableError
from sluice.providers.base import (
    Provider,
    ProviderConfig,
    ProviderResponse,
    ProviderStream,
    ProviderVectors,
    RateLimitHeaders,
)

if TYPE_CHECKING:
    from sluice.embeddings.model import EmbeddingModel

logger = Logger(child=True)

# As many as a message names.
_MOST_POSITIONS = 10


class BuiltinProvider(Provider):
    """The embedding model of this function, read when its first vectors are asked for. Threads may share it."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._model: EmbeddingModel | None = None
        self._reading = Lock()

    def warm_up(self) -> None:
        """Nothing is read for chats, which it does not answer."""

    def warm_up_to_embed(self) -> None:
        """Import what a call needs. Files that can't be read are the call's failure, as other providers' are."""
        import_module("sluice.embeddings.files")

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Refuse: raises ProviderRejectedError."""
        raise _no_chat(model)

    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """Refuse: raises ProviderRejectedError."""
        raise _no_chat(model)

    def embed(self, batch: TextBatch, model: str, timeout_s: float) -> ProviderVectors:
        """Make the vectors of a batch.

        Raises ProviderRejectedError if a text has nothing that the model knows: any vector would be as near to all as
        to none. ProviderTimeoutError between two texts, ProviderUnavailableError if the model can't be read.
        """
        from sluice.embeddings.model import NoDirectionError

        deadline_s = time.monotonic() + timeout_s
        embed = self._read().embed
        vectors: list[Vector] = []
        unknown: list[int] = []
        tokens = 0
        for position, text in enumerate(batch.texts, start=batch.first):
            if time.monotonic() > deadline_s:
                raise ProviderTimeoutError(f"{len(vectors)} of {len(batch.texts)} vectors took {timeout_s:g} s")
            try:
                vector, count = embed(text)
            except NoDirectionError:
                unknown.append(position)
            else:
                vectors.append(vector)
                tokens += count
        if unknown:
            raise _no_known_words(unknown, model)
        return ProviderVectors(tuple(vectors), tokens, RateLimitHeaders())

    def _read(self) -> "EmbeddingModel":
        from sluice.embeddings.files import ModelFilesError, read_model

        with self._reading:
            if self._model is None:
                try:
                    self._model = read_model()
                except ModelFilesError as error:
                    logger.exception("the embedding model can't be read")
                    raise ProviderUnavailableError(str(error), was_sent=False, may_be_billed=False) from error
            return self._model


def _no_chat(model: str) -> ProviderRejectedError:
    return ProviderRejectedError(f"{model} makes embeddings and does not chat", status=400, was_sent=False)


def _no_known_words(positions: list[int], model: str) -> ProviderRejectedError:
    named = ", ".join(map(str, positions[:_MOST_POSITIONS]))
    more = f" and {len(positions) - _MOST_POSITIONS} more" if len(positions) > _MOST_POSITIONS else ""
    return ProviderRejectedError(
        f"{model} knows no word of the texts at positions {named}{more}, so that they have no vector: leave them out",
        status=400,
        code=NO_KNOWN_WORDS,
        was_sent=False,
    )
