"""Takes decoded answers and chunks for what they are: an answer, a part of one, or a failure. Pure."""

from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

from sluice.chat import ChatChunk, JsonObject
from sluice.chat_stream import chunks_from_body
from sluice.errors import ProviderError, ProviderProtocolError
from sluice.providers.answer_shape import StreamNormalizer, choices_of, normalized_answer
from sluice.providers.decoding import Decoded, UnreadableError, without_halves
from sluice.providers.failures import failure_in_answer
from sluice.providers.verdict import AnswerState, ending, says_something, state_of


class Asked(Protocol):
    """What an answer answers."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in an error's text."""


def read_answer(body: Any, headers: Mapping[str, str], asked: Asked) -> JsonObject:
    """A whole answer in OpenAI's shape. Raises ProviderError for what is none."""
    if not isinstance(body, dict):
        if error := _error_in_list(body):
            raise failure_in_answer(error, headers, secrets=asked.secrets)
        raise ProviderProtocolError("the answer is not a JSON object")
    _raise_if_failed(body, headers, asked)
    try:
        answer: JsonObject = without_halves(normalized_answer(body))
    except UnreadableError as error:
        raise ProviderProtocolError(str(error)) from None
    if not answer["choices"]:
        raise ProviderProtocolError("the answer has no choices")
    if state_of(answer) is AnswerState.FAILED:
        raise _unfinished(answer["choices"], headers, asked)
    return answer


class StreamReader:
    """Reads the chunks of one stream, and knows whether it has begun and whether it is whole."""

    def __init__(self, headers: Mapping[str, str], asked: Asked) -> None:
        self._headers = headers
        self._asked = asked
        self._normalizer = StreamNormalizer()
        self._has_ended: dict[int, bool] = {}
        self.has_said = False

    def feed(self, decoded: Decoded) -> list[ChatChunk]:
        """The chunks that an object stands for: none for [DONE], several for a whole answer. Raises ProviderError."""
        body = decoded.body
        if body is None:
            return []
        try:
            _raise_if_failed(body, self._headers, self._asked)
            if _is_whole(body):
                chunks = chunks_from_body(read_answer(body, self._headers, self._asked), include_usage=True)
            else:
                part = self._normalizer.chunk(body)
                if part is not None and decoded.may_have_halves:
                    part = without_halves(part)
                chunks = [] if part is None else [ChatChunk(part)]
        except UnreadableError as error:
            raise ProviderProtocolError(str(error)) from None
        except ProviderError as error:
            self._fail(error)
        for chunk in chunks:
            self._note(chunk)
        return chunks

    def is_complete(self, wanted: int) -> bool:
        """Whether all of the `wanted` choices have ended, so that nothing of the answer can be missing."""
        return len(self._has_ended) >= wanted and all(self._has_ended.values())

    def end(self) -> None:
        """Raise ProviderProtocolError if a stream that ends here is no whole answer.

        `[DONE]` proves nothing: it is sent by whoever lost his own provider, too.
        """
        if not self._has_ended:
            raise ProviderProtocolError("the stream has no choices")
        if not all(self._has_ended.values()):
            raise ProviderProtocolError("the stream ended before the answer was complete")

    def _note(self, chunk: ChatChunk) -> None:
        for choice in chunk.body["choices"]:
            reason, index = choice["finish_reason"], choice["index"]
            if reason == "error" or choice.get("error"):
                self._fail(_unfinished([choice], self._headers, self._asked))
            self._has_ended[index] = self._has_ended.get(index, False) or reason is not None
            self.has_said = self.has_said or reason is not None or says_something(choice["delta"])

    def _fail(self, error: ProviderError) -> NoReturn:
        if self.has_said:
            # Another can't go on where this one stopped, and what was said may be billed.
            raise ProviderProtocolError("the provider reported an error within its stream") from error
        raise error


def _is_whole(body: JsonObject) -> bool:
    """Whether what came in a stream is an answer rather than a chunk."""
    choices = choices_of(body) if body.get("object") != "chat.completion.chunk" else []
    return bool(choices) and all(choice.get("message") and "delta" not in choice for choice in choices)


def _raise_if_failed(body: JsonObject, headers: Mapping[str, str], asked: Asked) -> None:
    base = body.get("base_resp")
    # MiniMax answers 200 whatever happened, and says so here.
    has_failed = isinstance(base, dict) and base.get("status_code") not in (None, 0)
    if body.get("error") or body.get("object") == "error" or (has_failed and not body.get("choices")):
        raise failure_in_answer(body, headers, secrets=asked.secrets)


def _unfinished(choices: list[JsonObject], headers: Mapping[str, str], asked: Asked) -> ProviderError:
    """The error for choices of which one says that it failed."""
    failed = next(choice for choice in choices if choice.get("error") or ending(choice.get("finish_reason")) == "error")
    said = {"code": failed.get("native_finish_reason"), "error": failed.get("error")}
    error = failure_in_answer(said, headers, secrets=asked.secrets)
    error.may_be_billed = True
    return error


def _error_in_list(body: object) -> object:
    """The error of a list that has one, as Gemini writes it."""
    for part in body if isinstance(body, list) else []:
        if isinstance(part, dict) and part.get("error"):
            return part
    return None
