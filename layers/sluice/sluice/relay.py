"""Passes a streamed answer on as it arrives: guarded, collected, and settled when it ends, however it ends."""

from collections.abc import Generator, Iterator

from sluice.books import Books, Entry, Purse
from sluice.chat import ChatChunk, ChatRequest
from sluice.chat_stream import assemble
from sluice.errors import InterruptedAnswerError, InvalidAnswerError, ProviderError, ProviderProtocolError
from sluice.guards.chunks import ChunkGuard
from sluice.guards.json_answer import InvalidJsonAnswerError, enforce_json
from sluice.providers.base import Provider, RateLimitHeaders
from sluice.routing.accounts import Routed


class OpenedStream:
    """A provider's stream whose first chunk has arrived: until then, another deployment can still take over."""

    def __init__(self, provider: Provider, request: ChatRequest, model: str, timeout_s: float) -> None:
        self._stream = provider.stream(request, model, timeout_s)
        self._chunks = iter(self._stream)
        try:
            self._first = next(self._chunks)
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
        yield self._first
        yield from self._chunks

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()


def relay(entry: Entry, routed: Routed[OpenedStream], purse: Purse, books: Books) -> Generator[ChatChunk]:
    """Yield what the caller is to see of the answer. Close the iterator, read to its end or not.

    Raises GuardBlockedError, InvalidAnswerError for JSON that is none, InterruptedAnswerError when it breaks off.
    """
    stream = routed.answer
    guard = ChunkGuard(entry.guard_modes)
    seen: list[ChatChunk] = []
    broken: ProviderError | None = None
    is_good = False
    try:
        for chunk in stream:
            seen.append(chunk)
            yield from _shown(guard.release(chunk), entry.wants_usage)
        yield from guard.rest()
        for choice in assemble(seen)["choices"]:
            if isinstance(choice["message"].get("content"), str) and not choice["message"].get("tool_calls"):
                enforce_json(choice["message"]["content"], entry.request.response_format)
        is_good = True
    except ProviderError as error:
        broken = error
        raise InterruptedAnswerError(f"{routed.deployment.id} broke off: {error.message}") from error
    except InvalidJsonAnswerError as error:
        raise InvalidAnswerError(f"The answer is not the JSON that was asked for: {error}") from error
    finally:
        # Also when the caller has hung up (GeneratorExit): a usage that has arrived is settled all the same.
        stream.close()
        body = assemble(seen)
        usage = next((chunk.usage for chunk in reversed(seen) if chunk.usage), None)
        if broken is not None or (usage is None and not is_good):
            books.close_broken(entry, routed, purse, broken)
        else:
            books.close(entry, routed, purse, usage, stream.rate_limits, body, findings=guard.findings, is_good=is_good)


def _shown(chunk: ChatChunk, wants_usage: bool) -> Iterator[ChatChunk]:
    """The chunk as the caller asked for it: usage is always asked of the provider, for the books."""
    if wants_usage or "usage" not in chunk.body:
        yield chunk
    elif chunk.body.get("choices"):
        yield ChatChunk({name: value for name, value in chunk.body.items() if name != "usage"})
