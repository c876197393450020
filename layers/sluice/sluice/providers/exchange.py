"""What all adapters share: the body that goes out, and the checks on what comes back."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from sluice.chat import ChatChunk, ChatRequest, ChatResponse, JsonObject
from sluice.errors import ProviderAuthenticationError, ProviderError, ProviderProtocolError, ProviderRejectedError
from sluice.providers.base import ProviderConfig, ProviderResponse, ProviderStream, RateLimitHeaders
from sluice.providers.failures import failure, failure_in_answer
from sluice.providers.sse import event_data
from sluice.providers.urls import base_url as checked_url

MAX_ANSWER_BYTES = 16 * 1024 * 1024
# More than a whole answer may have, because each chunk of a stream repeats its frame.
MAX_STREAM_BYTES = 2 * MAX_ANSWER_BYTES
# After [DONE] only the end of the body is due; it usually came along. Waiting for it saves the connection.
DRAIN_S = 0.05
DONE = "[DONE]"
# Where a message's own texts are; one that is no text could not be guarded.
_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")


type ReadLimits = Callable[[Mapping[str, str]], RateLimitHeaders]


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
    """One request to one provider: what is sent, and what must not appear in an error's text."""

    body: JsonObject
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, request: ChatRequest, model: str, config: ProviderConfig, *, streamed: bool) -> "Call":
        """Prepare the body for `config`'s provider.

        Raises ProviderRejectedError if the request has a field that the provider cannot take, and
        ProviderAuthenticationError if the API key cannot stand in a header.
        """
        if not (config.api_key.isascii() and config.api_key.isprintable() and config.api_key.strip()):
            raise ProviderAuthenticationError("the API key is empty or has characters that no key has")
        body = request.body_for(model)
        options = body.pop("stream_options", None)
        for name in sorted(config.unsupported_fields & body.keys()):
            # A field that is null says nothing, so nothing is lost with it.
            if body.pop(name) is not None:
                raise ProviderRejectedError(f"{config.provider} does not support the field '{name}'", status=400)
        body.pop("stream", None)
        if streamed:
            body["stream"] = True
            if "stream_options" not in config.unsupported_fields:
                # The ledger settles by the usage that only this chunk carries.
                body["stream_options"] = {**(options or {}), "include_usage": True}
        return cls(body, (config.api_key, *_texts(request)))

    @property
    def content(self) -> bytes:
        """The body as it goes over the wire. Raises ProviderRejectedError if it cannot be written as JSON."""
        try:
            return json.dumps(self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except ValueError:
            raise ProviderRejectedError("the request has a number or character that JSON cannot carry") from None


def read_whole(response: HttpResponse, call: Call, limits: ReadLimits) -> ProviderResponse:
    """Read and check a `chat.completion`. Raises ProviderError."""
    try:
        content = _read(response)
    finally:
        response.close()
    _check_status(response, call, content)
    body = _decode(content)
    if body.get("error") and not body.get("choices"):
        raise failure_in_answer(body["error"], secrets=call.secrets)
    choices = _choices(body)
    if not choices:
        _broken("the answer has no choices")
    for choice in choices:
        if choice.get("message") is None:
            _broken("a choice has no message")
        _check_choice(choice, "message")
    return ProviderResponse(ChatResponse(body), limits(response.headers))


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
    """A streamed answer, opened up to its first chunk: what fails until then fails in the constructor."""

    def __init__(self, response: HttpResponse, call: Call, limits: ReadLimits, pace: Pace) -> None:
        self._response = response
        self._call = call
        self._pace = pace
        try:
            if response.status_code != 200:
                _check_status(response, call, _read(response))
            self.rate_limits = limits(response.headers)
            self._rest = self._chunks()
            self._first: ChatChunk | None = next(self._rest)
        except BaseException:
            response.close()
            raise

    def __iter__(self) -> Iterator[ChatChunk]:
        """Yield the chunks in order."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._rest

    def close(self) -> None:
        """Let go of the connection."""
        self._rest.close()
        self._response.close()

    def _chunks(self) -> Generator[ChatChunk]:
        # Which choices have begun, and whether they have ended: a stream without [DONE] is whole if all have.
        has_ended: dict[int, bool] = {}
        is_done = False
        events = event_data(_bounded(self._response, MAX_STREAM_BYTES))
        try:
            while (data := _next_event(events)) is not None:
                if data == DONE:
                    is_done = True
                    break
                body = _decode(data)
                if body.get("error"):
                    self._fail(body["error"], has_begun=bool(has_ended))
                for choice in _choices(body):
                    _check_choice(choice, "delta")
                    index = choice.get("index", 0)
                    has_ended[index] = has_ended.get(index, False) or choice.get("finish_reason") is not None
                yield ChatChunk(body)
                # How long the reader took over the last chunk is not the provider's fault.
                self._response.extensions["network_stream"].allow(self._pace.due_s())
            if not has_ended:
                _broken("the stream has no choices")
            if not is_done and not all(has_ended.values()):
                _broken("the stream ended before the answer was complete")
            if is_done:
                self._drain(events)
        except GeneratorExit:
            # From close(), which does the rest; or from the garbage collector, which must not touch the pool.
            raise
        except BaseException:
            self._response.close()
            raise
        else:
            self._response.close()

    def _fail(self, error: object, *, has_begun: bool) -> NoReturn:
        if has_begun:
            _broken("the provider reported an error within its stream")
        raise failure_in_answer(error, secrets=self._call.secrets)

    def _drain(self, events: Iterator[str]) -> None:
        self._response.extensions["network_stream"].hurry(DRAIN_S)
        with suppress(ProviderError, ValueError):
            # The answer is whole; what is wrong after it costs the connection and nothing else.
            next(events, None)


def _read(response: HttpResponse) -> bytes:
    return b"".join(_bounded(response, MAX_ANSWER_BYTES))


def _bounded(response: HttpResponse, max_bytes: int) -> Iterator[bytes]:
    count = 0
    for part in response.iter_raw():
        count += len(part)
        if count > max_bytes:
            _broken(f"the answer has more than {max_bytes} bytes")
        yield part


def _check_status(response: HttpResponse, call: Call, content: bytes) -> None:
    if response.status_code != 200:
        raise failure(response.status_code, response.headers, content, secrets=call.secrets)


def _next_event(events: Iterator[str]) -> str | None:
    try:
        return next(events, None)
    except ValueError:
        _broken("the stream is not UTF-8, or has a line without end")


def _decode(content: bytes | str) -> JsonObject:
    try:
        body = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _broken("the answer is not JSON")
    if not isinstance(body, dict):
        _broken("the answer is not a JSON object")
    return body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _choices(body: JsonObject) -> list[JsonObject]:
    choices = body.get("choices")
    if choices is None:
        return []
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        _broken("the answer's choices are not a list of objects")
    return choices


def _check_choice(choice: JsonObject, name: str) -> None:
    """What the rest of Sluice relies on in a choice, `name` being where its text is. The rest is not looked at."""
    if not _is_index(choice.get("index", 0)):
        _broken("a choice's index is not a number from 0 on")
    if not _is_text(choice.get("finish_reason")):
        _broken("a choice's finish_reason is not a text")
    logprobs = choice.get("logprobs")
    if logprobs is not None and not isinstance(logprobs, dict):
        _broken("a choice's logprobs are not an object")
    message = choice.get(name)
    if message is None:
        return
    if not isinstance(message, dict):
        _broken(f"a choice's {name} is not an object")
    for field in _TEXTS:
        if not _is_text(message.get(field)):
            _broken(f"a {name}'s {field} is not a text")
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        _broken(f"a {name}'s tool_calls are not a list")
    for call in calls:
        _check_tool_call(call)


def _check_tool_call(call: object) -> None:
    if not isinstance(call, dict):
        _broken("a tool call is not an object")
    index, function = call.get("index"), call.get("function")
    if index is not None and not _is_index(index):
        _broken("a tool call's index is not a number from 0 on")
    if function is None:
        return
    if not isinstance(function, dict):
        _broken("a tool call's function is not an object")
    if not _is_text(function.get("arguments")):
        _broken("a tool call's arguments are not a text")


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _texts(request: ChatRequest) -> Iterator[str]:
    for message in request.messages:
        if isinstance(message.content, str):
            yield message.content
        else:
            yield from (part.text for part in message.content or () if part.text)


def _broken(reason: str) -> NoReturn:
    raise ProviderProtocolError(reason)
