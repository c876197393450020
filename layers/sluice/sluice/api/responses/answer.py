"""What a model answered as a response, whole; and what every response is made of. Pure."""

import time
from collections.abc import Sequence

from sluice.api.responses.items import answer_items
from sluice.api.responses.reasoning import FIELDS, summarized
from sluice.chat import JsonObject, Usage, reasoning_tokens_in
from sluice.loading.dataclass import dataclass

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "function_call_output": "fco",
    "custom_tool_call_output": "ctco",
    "file_search_call": "fs",
}
RESPONSE_PREFIX = "resp_"
# Of an assistant's message, what items say; whatever else a provider says of it stays beside its text.
_OF_ITEMS = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call", "annotations", "index", "phase", *FIELDS}
)
_NO_REASON = {"reason": None}
_INCOMPLETE = {"length": {"reason": "max_output_tokens"}, "content_filter": {"reason": "content_filter"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFrame:
    """What of a response does not depend on what is answered. `options` are those that it was asked with.

    `summarizes`: what is thought is shown as a summary. `created_at` is in seconds since 1970.
    """

    id: str
    created_at: int
    model: str
    options: JsonObject
    is_stored: bool
    summarizes: bool

    def response(self, status: str, **answered: object) -> JsonObject:
        """The response as far as it is `answered`."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "completed_at": max(self.created_at, int(time.time())) if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": [],
            **self.options,
            "store": self.is_stored,
            "usage": None,
            **answered,
        }

    def item_id(self, kind: str, index: int) -> str:
        """The id of an item that is answered. What it is of can be read from it."""
        return item_id(self.id, kind, str(index))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an answer ended: the status of the response, and of the last of its items."""

    status: str
    incomplete_details: JsonObject | None = None

    @property
    def item_status(self) -> str:
        """The status of the last item."""
        return "completed" if self.status == "completed" else "incomplete"


def item_id(response_id: str, kind: str, name: str) -> str:
    """The id of an item of a response."""
    return f"{_PREFIXES.get(kind, 'item')}_{response_id.removeprefix(RESPONSE_PREFIX)}_{name}"


def ending_of(finish_reason: object) -> Ending:
    """How an answer with this `finish_reason` ended: without one that is known it has not come to its end."""
    if finish_reason in {"stop", "tool_calls", "function_call"}:
        return Ending(status="completed")
    return Ending(status="incomplete", incomplete_details=_INCOMPLETE.get(str(finish_reason), _NO_REASON))


def whole_response(frame: ResponseFrame, body: JsonObject) -> JsonObject:
    """The response that says what `body`, a `chat.completion` object, says."""
    choice: JsonObject = next(iter(body.get("choices") or []), {})
    message = choice.get("message") or {}
    ending = ending_of(choice.get("finish_reason"))
    items = answer_items({**message, "tool_calls": calls_of(message)})
    with_texts = with_beside(items, message, logprobs_of(choice))
    shown = [summarized(item) if frame.summarizes and item["type"] == "reasoning" else item for item in with_texts]
    output = [finished(item, frame.item_id(item["type"], index), "completed") for index, item in enumerate(shown)]
    if output:
        output[-1]["status"] = ending.item_status
    return answered_response(frame, body, ending, output)


def answered_response(frame: ResponseFrame, body: JsonObject, ending: Ending, output: list[JsonObject]) -> JsonObject:
    """The response with its `output`. `body` is what the provider says beside it."""
    tier = body.get("service_tier")
    return frame.response(
        ending.status,
        incomplete_details=ending.incomplete_details,
        model=body.get("model") or frame.model,
        output=output,
        usage=usage_of(body),
        **({"service_tier": tier} if isinstance(tier, str) else {}),
    )


def finished(item: JsonObject, its_id: str, status: str) -> JsonObject:
    """An item with its id and status, as it is shown."""
    return {"id": its_id, "type": item["type"], "status": status, **item}


def answered_message(body: JsonObject) -> JsonObject | None:
    """The message of `body`, a `chat.completion` object, as a model may be sent it; None if it says nothing."""
    choice: JsonObject = next(iter(body.get("choices") or []), {})
    message = choice.get("message") or {}
    said = {name: message[name] for name in ("content", "refusal", "thinking_blocks", "phase") if message.get(name)}
    if calls := calls_of(message):
        said["tool_calls"] = calls
    if not said:
        return None
    if thoughts := message.get("reasoning_content") or message.get("reasoning"):
        said["reasoning_content"] = thoughts
    return {"role": "assistant", "content": None, **said}


def usage_of(body: JsonObject) -> JsonObject | None:
    """The tokens of an answer, None if its provider counted none."""
    counted = Usage.from_body(body)
    if counted is None:
        return None
    cached = {"cached_tokens": counted.cached_prompt_tokens, "cache_write_tokens": counted.cache_write_tokens}
    return {
        "input_tokens": counted.prompt_tokens,
        "input_tokens_details": cached,
        "output_tokens": counted.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens_in(body)},
        "total_tokens": counted.total_tokens,
    }


def added_usage(one: JsonObject | None, other: JsonObject | None) -> JsonObject | None:
    """The tokens of two answers, as far as they were counted."""
    if one is None or other is None:
        return one or other
    return {
        name: {part: count + other[name][part] for part, count in value.items()}
        if isinstance(value, dict)
        else value + other[name]
        for name, value in one.items()
    }


def calls_of(message: JsonObject) -> list[JsonObject]:
    """The tool calls of a message, also the one of the form before tools."""
    calls = list(message.get("tool_calls") or [])
    function = message.get("function_call")
    if not calls and isinstance(function, dict) and function.get("name"):
        calls = [{"id": f"call_{function['name']}", "type": "function", "function": function}]
    return calls


def logprobs_of(choice: JsonObject) -> list[JsonObject]:
    """How likely each token of an answer's text was."""
    given = (choice.get("logprobs") or {}).get("content") or []
    return [shown_logprob(each) for each in given if isinstance(each, dict)]


def shown_logprob(given: JsonObject) -> JsonObject:
    """How likely a token was, as a response has it."""
    others = [{**other, "bytes": other.get("bytes") or []} for other in given.get("top_logprobs") or []]
    return {**given, "bytes": given.get("bytes") or [], "top_logprobs": others}


def beside_of(message: JsonObject) -> JsonObject:
    """What a provider says of a message beside its text: images, and so on."""
    return {name: value for name, value in message.items() if value and name not in _OF_ITEMS}


def cited_by(message: JsonObject) -> list[JsonObject]:
    """What a message cites."""
    return [_annotation(each) for each in message.get("annotations") or [] if isinstance(each, dict)]


def with_beside(items: Sequence[JsonObject], message: JsonObject, logprobs: list[JsonObject]) -> list[JsonObject]:
    """The items with what a provider says of the message beside its text."""
    beside, found = beside_of(message), list(items)
    place = next((index for index, item in enumerate(found) if item["type"] == "message"), None)
    if place is None:
        return [*found, {"type": "message", "role": "assistant", "content": [], **beside}] if beside else found
    parts = list(found[place]["content"])
    if parts and parts[0]["type"] == "output_text":
        parts[0] = {**parts[0], "annotations": cited_by(message), "logprobs": logprobs}
    found[place] = {**found[place], "content": parts, **beside}
    return found


def _annotation(given: JsonObject) -> JsonObject:
    """What an answer cites, as a response has it: a chat has it one level deeper."""
    kind = given.get("type")
    inner = given.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **inner} if isinstance(inner, dict) else given
