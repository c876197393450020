"""What the adapters have in common: a call is prepared, sent in the adapter's own way, and its answer read."""

import math
import time
from abc import abstractmethod
from collections.abc import Mapping

from sluice.chat import ChatRequest
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderError
from sluice.providers.base import (
    Provider,
    ProviderConfig,
    ProviderResponse,
    ProviderStream,
    ProviderVectors,
    RateLimitHeaders,
)
from sluice.providers.exchange import (
    EMBEDDINGS_PATH,
    AnswerStream,
    Call,
    HttpResponse,
    Pace,
    check_key,
    read_vectors,
    read_whole,
)
from sluice.providers.failures import MOST_SECRET_CHARACTERS
from sluice.providers.guard import guarding
from sluice.providers.vectors import openai_body


class Adapter(Provider):
    """One credential of a provider. What it refuses of what Sluice adds to requests is not sent to it again."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._refused_options: set[str] = set()

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Answer `request` with `model`, within `timeout_s` in all. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        call = self._chat_call(request, model, streamed=False)
        return read_whole(self._guarded(call, deadline_s), call, self._limits)

    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """Begin to answer `request`, each chunk within `pause_s`, all within `timeout_s`. Raises ProviderError."""
        pace = Pace.begin(timeout_s, pause_s)
        call = self._chat_call(request, model, streamed=True)
        try:
            return AnswerStream(self._guarded(call, pace.due_s()), call, self._limits, pace)
        except ProviderError as error:
            self._remember(error)
            raise

    def embed(self, batch: TextBatch, model: str, timeout_s: float) -> ProviderVectors:
        """Make the vectors of a batch with `model`, within `timeout_s` in all. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        check_key(self.config)
        call = self._embedding_call(batch, model)
        try:
            return read_vectors(self._guarded(call, deadline_s), call, batch, self._limits)
        except ProviderError as error:
            self._remember(error)
            if sum(map(len, batch.texts)) > MOST_SECRET_CHARACTERS:
                # In so much text it is not looked for what the provider's words may quote of it.
                error.message = f"the provider answered {error.status}"
            raise

    def _chat_call(self, request: ChatRequest, model: str, *, streamed: bool) -> Call:
        """What asks for a chat. Raises ProviderRejectedError for what cannot be asked."""
        return Call.of(request, model, self.config, streamed=streamed, refused_options=self._refused_options)

    def _embedding_call(self, batch: TextBatch, model: str) -> Call:
        """What asks for the vectors of a batch."""
        refused = self.config.unsupported_fields.union(self._refused_options)
        body = openai_body(batch, model, as_base64="encoding_format" not in refused)
        return Call(body, self.config.api_key, EMBEDDINGS_PATH)

    def _remember(self, error: ProviderError) -> None:
        if error.refused_option is not None:
            self._refused_options.add(error.refused_option)

    def _guarded(self, call: Call, deadline_s: float) -> HttpResponse:
        with guarding(self.config.networks):
            return self._send(call, deadline_s)

    @abstractmethod
    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        """Send `call` and return the answer, its body unread. Raises ProviderError."""

    @abstractmethod
    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        """What the headers of an answer say about limits."""
