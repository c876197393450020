"""Passes a streamed answer on as it arrives: guarded, collected, and settled when it ends, however it ends."""

from collections.abc import Generator, Iterator
from typing import cast

from aws_lambda_powertools import Logger

from sluice.chat import ChatChunk, ChatRequest, JsonObject
from sluice.chat_stream import assemble
from sluice.errors import (
    InterruptedAnswerError,
    InvalidAnswerError,
    ProviderError,
    ProviderProtocolError,
    SluiceError,
)
from sluice.gateway.admission import Entry, Outcome
from sluice.gateway.budget import Purse
from sluice.gateway.settlement import Books
from sluice.guards.chunks import ChunkGuard
from sluice.guards.json_answer import InvalidJsonAnswerError, enforce_json
from sluice.providers.base import Provider, RateLimitHeaders
from sluice.routing.deployment_quota import Routed

logger = Logger(child=True)


class OpenedStream:
    """A provider's stream whose first choice has arrived: until then, another deployment can still take over."""

    def __init__(self, provider: Provider, request: ChatRequest, model: str, timeout_s: float, pause_s: float) -> None:
        self._stream = provider.stream(request, model, timeout_s, pause_s)
        self._chunks = iter(self._stream)
        self._first: list[ChatChunk] = []
        try:
            # Some begin with a chunk without choices, and some never get further.
            while not self._first or not self._first[-1].body.get("choices"):
                self._first.append(next(self._chunks))
        except StopIteration:
            self.close()
            raise ProviderProtocolError("the stream ended before it began") from None
        except ProviderError:
            self.close()
            raise

    @property
    def rate_limits(self) -> RateLimitHeaders:
        """What the provider's headers said."""
        return self._stream.rate_limits

    def __iter__(self) -> Iterator[ChatChunk]:
        """All chunks, the first included."""
        yield from self._first
        yield from self._chunks

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()


class Relay(Iterator[ChatChunk]):
    """What the caller is to see of an answer. Close it, read to its end or not, or never begun.

    Raises GuardBlockedError, InvalidAnswerError for JSON that is none, InterruptedAnswerError when it breaks off.
    """

    def __init__(self, entry: Entry, routed: Routed[OpenedStream], purse: Purse, books: Books) -> None:
        self._entry = entry
        self._routed = routed
        self._purse = purse
        self._books = books
        self._guard = ChunkGuard(entry.guard_modes)
        self._seen: list[ChatChunk] = []
        self._shown = self._relay()
        self._is_closed = False

    def __next__(self) -> ChatChunk:
        """The next chunk; at the end, and before an error is raised, the books are closed."""
        try:
            return next(self._shown)
        except StopIteration:
            self._close(Outcome.ANSWERED)
            raise
        except InterruptedAnswerError as error:
            self._close(Outcome.BROKE_OFF, cast("ProviderError", error.__cause__))
            raise
        except SluiceError:
            self._close(Outcome.WITHHELD)
            raise
        except BaseException:
            self._close(Outcome.BROKE_OFF)
            raise

    def close(self) -> None:
        """Let go of the provider and close the books, if the answer has not come to its end."""
        self._shown.close()
        self._close(Outcome.ABANDONED)

    def _relay(self) -> Generator[ChatChunk]:
        entry = self._entry
        try:
            for chunk in self._routed.answer:
                self._seen.append(chunk)
                yield from _shown(self._guard.release(chunk), entry.wants_usage)
        except ProviderError as error:
            raise InterruptedAnswerError(f"{self._routed.deployment.id} broke off: {error.message}") from error
        yield from self._guard.rest()
        for choice in assemble(self._seen)["choices"]:
            content = choice["message"].get("content")
            if isinstance(content, str) and not choice["message"].get("tool_calls"):
                try:
                    enforce_json(content, entry.answer_format)
                except InvalidJsonAnswerError as error:
                    raise InvalidAnswerError(f"The answer is not the JSON that was asked for: {error}") from error

    def _assembled(self) -> JsonObject:
        try:
            return assemble(self._seen)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Whatever a provider has sent, the books must be closed.
            logger.warning("a stream could not be put together", extra={"reason": type(error).__name__})
            return {"choices": []}

    def _close(self, outcome: Outcome, error: ProviderError | None = None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        stream = self._routed.answer
        stream.close()
        body = self._assembled()
        # Some providers count along in every chunk: only what stands at the end is the answer's usage.
        choices = body["choices"]
        has_ended = bool(choices) and all(choice.get("finish_reason") for choice in choices)
        is_whole = outcome is Outcome.ANSWERED or (error is None and has_ended)
        usages = (chunk.usage for chunk in reversed(self._seen)) if is_whole else ()
        self._books.close(
            self._entry,
            self._routed,
            self._purse,
            next(filter(None, usages), None),
            stream.rate_limits,
            body,
            findings=self._guard.findings,
            outcome=outcome,
            error=error,
        )


def _shown(chunk: ChatChunk, wants_usage: bool) -> Iterator[ChatChunk]:
    """The chunk as the caller asked for it: usage is always asked of the provider, for the books."""
    if wants_usage or "usage" not in chunk.body:
        yield chunk
    elif chunk.body.get("choices"):
        yield ChatChunk({name: value for name, value in chunk.body.items() if name != "usage"})
