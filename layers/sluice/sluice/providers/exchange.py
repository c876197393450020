"""What all adapters share: the body that goes out, and what is made of the bytes that come back."""

import json
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from sluice.chat import ChatChunk, ChatRequest, ChatResponse, JsonObject
from sluice.chat_stream import assemble
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderAuthenticationError, ProviderError, ProviderProtocolError, ProviderRejectedError
from sluice.loading.dataclass import dataclass
from sluice.providers.allowed_fields import refused_field
from sluice.providers.base import (
    ProviderConfig,
    ProviderResponse,
    ProviderStream,
    ProviderVectors,
    RateLimitHeaders,
)
from sluice.providers.decoding import (
    MAX_ANSWER_BYTES,
    MAX_STREAM_BYTES,
    Decoded,
    UnreadableError,
    inflated,
    is_events,
    json_in,
    objects_in,
)
from sluice.providers.failures import failure, refused_option
from sluice.providers.message_fields import without_unknown
from sluice.providers.reading import StreamReader, read_answer
from sluice.providers.urls import base_url as checked_url
from sluice.providers.vectors import MAX_VECTORS_BYTES, tokens_in, vectors_in

# After [DONE] only the end of the body is due; it usually came along. Waiting for it saves the connection.
DRAIN_S = 0.05
# Other strings of a request than what is said in it are names and settings, if they are shorter.
_LONG_STRING = 16
CHAT_PATH = "/chat/completions"
EMBEDDINGS_PATH = "/embeddings"
PATHS = (CHAT_PATH, EMBEDDINGS_PATH)
# What texts are sent as of which vectors are wanted.
_EMBEDDED = ("input", "inputs")
_OK = 200


type ReadLimits = Callable[[Mapping[str, str]], RateLimitHeaders]


class Dialect(Protocol):
    """How a provider that does not speak OpenAI's protocol answers, in OpenAI's words. Raises UnreadableError."""

    def answer(self, body: Any) -> Any:
        """A whole answer, or what is none as it is."""

    def objects(self, parts: Iterable[bytes]) -> Iterator[Decoded]:
        """The objects of a stream, whose bytes may be cut anywhere."""


class HttpResponse(Protocol):
    """The part of a response that httpx and httpx2 have in common and adapters need."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in whatever case."""

    @property
    def extensions(self) -> Mapping[str, Any]:
        """`network_stream` is the Allowance of the call."""

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""

    def close(self) -> None:
        """Let go of the connection."""


def base_url(config: ProviderConfig, default: str) -> str:
    """Where the provider is, without a slash at the end. Raises ValueError naming the credential."""
    try:
        return checked_url(config.base_url or default)
    except ValueError as error:
        raise ValueError(f"credential {config.alias!r}: base_url {error}") from None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one provider: what is sent, and the API key that must not appear in an error's text.

    `path` is where, below the provider's base URL. `dialect` is None for OpenAI's protocol.
    """

    body: JsonObject
    api_key: str
    path: str = CHAT_PATH
    dialect: Dialect | None = None

    @classmethod
    def of(
        cls,
        request: ChatRequest,
        model: str,
        config: ProviderConfig,
        *,
        streamed: bool,
        refused_options: Collection[str] = (),
    ) -> "Call":
        """Prepare the body for `config`'s provider, without the options that it has refused before.

        Raises ProviderRejectedError if the request has a field that the provider cannot take, and
        ProviderAuthenticationError if the API key cannot stand in a header.
        """
        check_request(request, config)
        body = without_unknown(request.body_for(model, config.limit_field_of(model)), config.allowed_fields)
        options = body.pop("stream_options", None)
        for name in config.unsupported_fields & body.keys():
            if body.pop(name) is not None:
                raise ProviderRejectedError(
                    f"{config.provider} does not support the field {name!r}", status=400, was_sent=False
                )
        body.pop("stream", None)
        if streamed:
            body["stream"] = True
            if "stream_options" not in config.unsupported_fields.union(refused_options):
                # The ledger settles by the usage that only this chunk carries.
                body["stream_options"] = {**(options or {}), "include_usage": True}
        return cls(body, config.api_key)

    @property
    def content(self) -> bytes:
        """The body as it goes over the wire. Raises ProviderRejectedError if it cannot be written as JSON."""
        try:
            return json.dumps(self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except ValueError:
            raise ProviderRejectedError(
                "the request has a number or character that JSON cannot carry", was_sent=False
            ) from None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in an error's text: the API key, and what the request says."""
        messages = self.body.get("messages") or ()
        said = [text for message in messages for text in _strings(message.get("content"))]
        said += [text for name in _EMBEDDED for text in self.body.get(name) or ()]
        rest = {name: value for name, value in self.body.items() if name not in ("model", "messages", *_EMBEDDED)}
        return (self.api_key, *(text for text in _strings(rest) if len(text) >= _LONG_STRING), *said)


def check_key(config: ProviderConfig) -> None:
    """Raise ProviderAuthenticationError if the API key cannot stand in a header."""
    if not (config.api_key.isascii() and config.api_key.isprintable() and config.api_key.strip()):
        raise ProviderAuthenticationError("the API key is empty or has characters that no key has", was_sent=False)


def check_request(request: ChatRequest, config: ProviderConfig) -> None:
    """Raise ProviderRejectedError for a request with something that the provider cannot be sent.

    Raises ProviderAuthenticationError if the API key cannot stand in a header.
    """
    check_key(config)
    refused = refused_field(request, config)
    if refused is not None:
        raise ProviderRejectedError(f"{refused.param}: {refused.reason}", status=400, was_sent=False)


def post(url: str, call: Call, deadline_s: float, key_headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Send `call` to `url`, and return the answer, its body unread. Raises ProviderError.

    `key_headers` are those that show the API key, if it is not shown as OpenAI's is.
    """
    headers = {
        **(key_headers or {"authorization": f"Bearer {call.api_key}"}),
        "content-type": "application/json",
        "accept-encoding": "identity",
    }
    from sluice.providers.plain_http import request

    return request("POST", url, headers, call.content, deadline_s - time.monotonic())


def warm_up_http() -> None:
    """Import what `post` needs."""
    import sluice.providers.plain_http  # noqa: F401


def read_whole(response: HttpResponse, call: Call, limits: ReadLimits) -> ProviderResponse:
    """Read a `chat.completion` and bring it into OpenAI's shape. Raises ProviderError."""
    try:
        content = read_bytes(response, MAX_ANSWER_BYTES)
    finally:
        response.close()
    check_status(response, call, content)
    try:
        if is_events(content):
            reader = StreamReader(response.headers, call)
            objects = _objects_of([content], call)
            body = assemble([chunk for each in objects for chunk in reader.feed(each)])
            reader.end()
        else:
            decoded = json_in(content)
            body = read_answer(call.dialect.answer(decoded) if call.dialect else decoded, response.headers, call)
    except UnreadableError as error:
        raise ProviderProtocolError(str(error)) from None
    return ProviderResponse(ChatResponse(body), limits(response.headers))


def _objects_of(parts: Iterable[bytes], call: Call) -> Iterator[Decoded]:
    """The objects of a stream, in OpenAI's words."""
    return call.dialect.objects(parts) if call.dialect else objects_in(parts)


def read_vectors(response: HttpResponse, call: Call, batch: TextBatch, limits: ReadLimits) -> ProviderVectors:
    """Read the vectors of a batch. Raises ProviderError."""
    try:
        content = read_bytes(response, MAX_VECTORS_BYTES)
    finally:
        response.close()
    check_status(response, call, content)
    try:
        body = json_in(content)
    except UnreadableError as error:
        raise ProviderProtocolError(str(error)) from None
    if call.dialect:
        body = call.dialect.answer(body)
    vectors = vectors_in(body, batch, response.headers, call)
    return ProviderVectors(vectors, tokens_in(body), limits(response.headers))


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a stream may take: until `deadline_s` (monotonic) in all, and `pause_s` for each chunk."""

    deadline_s: float
    pause_s: float

    @classmethod
    def begin(cls, timeout_s: float, pause_s: float) -> "Pace":
        """The pace of a stream that is asked for now."""
        return cls(time.monotonic() + timeout_s, pause_s)

    def due_s(self) -> float:
        """By when a chunk has to come that is waited for from now on."""
        return min(self.deadline_s, time.monotonic() + self.pause_s)


class AnswerStream(ProviderStream):
    """A streamed answer, opened until something is said in it: what fails before fails in the constructor."""

    def __init__(self, response: HttpResponse, call: Call, limits: ReadLimits, pace: Pace) -> None:
        self._response = response
        self._call = call
        self._pace = pace
        self._begun: list[ChatChunk] = []
        self._reader = StreamReader(response.headers, call)
        try:
            if response.status_code != _OK:
                check_status(response, call, read_bytes(response, MAX_ANSWER_BYTES))
            self.rate_limits = limits(response.headers)
            self._rest = self._chunks()
            while not self._reader.has_said and (chunk := next(self._rest, None)) is not None:
                self._begun.append(chunk)
        except BaseException:
            response.close()
            raise

    def __iter__(self) -> Iterator[ChatChunk]:
        """Yield the chunks in order."""
        begun, self._begun = self._begun, []
        yield from begun
        yield from self._rest

    def close(self) -> None:
        """Let go of the connection."""
        self._rest.close()
        self._response.close()

    def _chunks(self) -> Generator[ChatChunk]:
        objects = self._objects()
        try:
            for decoded in objects:
                if decoded.body is None:
                    break
                for chunk in self._reader.feed(decoded):
                    yield chunk
                    # How long the reader took over the last chunk is not the provider's fault.
                    self._response.extensions["network_stream"].allow(self._pace.due_s())
            self._reader.end()
            self._drain(objects)
        except GeneratorExit:
            # From close(), which does the rest; or from the garbage collector, which must not touch the pool.
            raise
        except UnreadableError as error:
            self._response.close()
            raise ProviderProtocolError(str(error)) from None
        except BaseException:
            self._response.close()
            raise
        else:
            self._response.close()

    def _objects(self) -> Iterator[Decoded]:
        try:
            yield from _objects_of(_parts(self._response, MAX_STREAM_BYTES), self._call)
        except (ProviderError, UnreadableError):
            # All that is missing is what follows the answer.
            if not self._reader.is_complete(self._call.body.get("n") or 1):
                raise

    def _drain(self, objects: Iterator[Decoded]) -> None:
        self._response.extensions["network_stream"].hurry(DRAIN_S)
        with suppress(ProviderError, ValueError):
            # The answer is whole; what is wrong after it costs the connection and nothing else.
            next(objects, None)


def read_bytes(response: HttpResponse, most: int) -> bytes:
    """The whole body of an answer, `most` bytes of it. Raises ProviderProtocolError if it has more."""
    try:
        return b"".join(_parts(response, most))
    except UnreadableError as error:
        raise ProviderProtocolError(str(error)) from None


def _parts(response: HttpResponse, max_bytes: int) -> Iterator[bytes]:
    return inflated(response.iter_raw(), response.headers.get("content-encoding", ""), max_bytes)


def check_status(response: HttpResponse, call: Call, content: bytes) -> None:
    """Raise ProviderError if the answer to `call` is an error."""
    if response.status_code != _OK:
        raise failure_of(response.status_code, response.headers, content, call)


def failure_of(status: int, headers: Mapping[str, str], content: bytes, call: Call) -> ProviderError:
    """The error for an answer to `call` with `status` that is not 200."""
    error = failure(status, headers, content, secrets=call.secrets)
    refused = refused_option(error, call.body)
    if refused is not None:
        error.refused_option = refused
        error.ask_again = True
    return error


def _strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
