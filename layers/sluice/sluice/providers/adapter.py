"""What the adapters have in common: a call is prepared, sent in the adapter's own way, and its answer read."""

import math
import time
from abc import abstractmethod
from collections.abc import Mapping

from sluice.chat import ChatRequest
from sluice.errors import ProviderError
from sluice.providers.base import Provider, ProviderConfig, ProviderResponse, ProviderStream, RateLimitHeaders
from sluice.providers.exchange import AnswerStream, Call, HttpResponse, Pace, read_whole


class Adapter(Provider):
    """One credential of a provider. What it refuses of what Sluice adds to requests is not sent to it again."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._refused_options: set[str] = set()

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """Answer `request` with `model`, within `timeout_s` in all. Raises ProviderError."""
        deadline_s = time.monotonic() + timeout_s
        call = Call.of(request, model, self.config, streamed=False)
        return read_whole(self._send(call, deadline_s), call, self._limits)

    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """Begin to answer `request`, each chunk within `pause_s`, all within `timeout_s`. Raises ProviderError."""
        pace = Pace.begin(timeout_s, pause_s)
        call = Call.of(request, model, self.config, streamed=True, refused_options=self._refused_options)
        try:
            return AnswerStream(self._send(call, pace.due_s()), call, self._limits, pace)
        except ProviderError as error:
            if error.refused_option is not None:
                self._refused_options.add(error.refused_option)
            raise

    @abstractmethod
    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        """Send `call` and return the answer, its body unread. Raises ProviderError."""

    @abstractmethod
    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        """What the headers of an answer say about limits."""
