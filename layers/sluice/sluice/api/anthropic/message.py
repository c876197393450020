"""Whole answers of a chat as messages of the Messages API. Pure."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NoReturn

from pydantic import JsonValue

from sluice.api.anthropic.answer_types import (
    AnswerBlock,
    AnswerMessage,
    CacheCreation,
    MessageEnding,
    MessageUsage,
    StopReason,
    ToolCaller,
)
from sluice.api.sealed import extra_of, sealed_extra
from sluice.chat import JsonObject, Usage, reasoning_tokens_in
from sluice.errors import InvalidAnswerError
from sluice.loading.dataclass import dataclass

_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_WINDOW_EXCEEDED = "modelcontextwindowexceeded"
_TIERS: dict[str, Literal["standard", "priority", "batch"]] = {
    "default": "standard",
    "standard": "standard",
    "priority": "priority",
    "batch": "batch",
}
# Of answers that are more than text and calls.
_FOREIGN = ("audio", "images", "content_parts")
# Where providers say which sequence stopped them: Anthropic's own, and vLLM's.
_SEQUENCE_FIELDS = ("stop_sequence", "stop_reason")
ENDING_FIELDS = frozenset({"finish_reason", "native_finish_reason", *_SEQUENCE_FIELDS})
"""What of a choice says why it ends."""

DIRECT: ToolCaller = {"type": "direct"}
"""Who calls tools: no tool calls another."""

NO_EDITS: dict[str, JsonValue] = {"applied_edits": []}
"""What is said of the edits of a context that were asked for: nobody made any."""


@dataclass(frozen=True, slots=True)
class AskedMessage:
    """What of a request its answer depends on. `id` is the message's where its provider gives none."""

    model: str
    id: str = ""
    stop_sequences: Sequence[str] = ()
    manages_context: bool = False


def message(body: JsonObject, asked: AskedMessage) -> AnswerMessage:
    """The `chat.completion` in `body` as a message. Raises InvalidAnswerError for what no message could hold."""
    choice: JsonObject = next(iter(body.get("choices") or []), {})
    said: JsonObject = choice.get("message") or {}
    check_parts(said)
    ending = message_ending(choice, asked, has_refused=bool(said.get("refusal")))
    answer = begun_message(body, asked)
    for name in ("stop_reason", "stop_sequence", "stop_details"):
        answer[name] = ending[name]
    answer["content"], answer["usage"] = list(_blocks(said, is_cut=is_cut(choice))), message_usage(body)
    if asked.manages_context:
        answer["context_management"] = NO_EDITS
    return answer


def begun_message(body: JsonObject, asked: AskedMessage) -> AnswerMessage:
    """The message of an answer or its first chunk, before anything is said in it."""
    identity = str(body.get("id") or asked.id)
    return {
        "id": identity if identity.startswith("msg_") else f"msg_{identity}",
        "type": "message",
        "role": "assistant",
        "model": str(body.get("model") or asked.model),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": message_usage({}),
        "container": None,
    }


def message_ending(choice: JsonObject, asked: AskedMessage, *, has_refused: bool = False) -> MessageEnding:
    """Why an answer ends, as its last chunk or its only choice says."""
    reason = _REASONS.get(str(choice.get("finish_reason")))
    native = "".join(filter(str.isalpha, str(choice.get("native_finish_reason") or ""))).lower()
    sequence = None
    if reason == "end_turn":
        said = (choice.get(name) for name in _SEQUENCE_FIELDS)
        sequence = next((each for each in said if isinstance(each, str) and each in asked.stop_sequences), None)
        if sequence is None and native == "stopsequence" and len(asked.stop_sequences) == 1:
            sequence = asked.stop_sequences[0]
        if sequence is not None:
            reason = "stop_sequence"
        elif has_refused:
            reason = "refusal"
    elif native == _WINDOW_EXCEEDED:
        reason = "model_context_window_exceeded"
    return {
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None,
        "container": None,
    }


def message_usage(body: JsonObject) -> MessageUsage:
    """The usage of an answer or chunk; zeros if it has none."""
    usage = Usage.from_body(body)
    if usage is None:
        return _usage_of(Usage(0, 0), body, created=0, read=0)
    read = min(usage.cached_prompt_tokens, usage.prompt_tokens)
    created = min(_created(body["usage"]), usage.prompt_tokens - read)
    return _usage_of(usage, body, created=created, read=read)


def _usage_of(usage: Usage, body: JsonObject, *, created: int, read: int) -> MessageUsage:
    given = body.get("usage")
    counts = given if isinstance(given, dict) else {}
    thought = reasoning_tokens_in(body)
    by_age = counts.get("cache_creation")
    geo, tier = counts.get("inference_geo"), counts.get("service_tier") or body.get("service_tier")
    return {
        "input_tokens": usage.prompt_tokens - read - created,
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": read,
        "cache_creation": _by_age(by_age) if isinstance(by_age, dict) else None,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": thought} if thought else None,
        "server_tool_use": None,
        "service_tier": _TIERS.get(tier) if isinstance(tier, str) else None,
        "inference_geo": geo if isinstance(geo, str) else None,
    }


def _by_age(given: JsonObject) -> CacheCreation:
    short, long = (given.get(f"ephemeral_{age}_input_tokens") for age in ("5m", "1h"))
    return {
        "ephemeral_5m_input_tokens": short if isinstance(short, int) else 0,
        "ephemeral_1h_input_tokens": long if isinstance(long, int) else 0,
    }


def thinking_text(said: JsonObject) -> str:
    """What a message or delta says of what was thought, by the names that providers have for it."""
    found = (said.get(name) for name in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text), "")


def check_parts(said: JsonObject) -> None:
    """Raise InvalidAnswerError for a message or delta with what the blocks of a message can't hold."""
    foreign = next((name for name in _FOREIGN if said.get(name)), None)
    if foreign is not None:
        raise InvalidAnswerError(f"The answer has {foreign}, which a message can't hold and a chat can.")


def citations_in(said: JsonObject) -> Iterator[JsonObject]:
    """What a message or delta cites, as Anthropic's answers do."""
    cited = said.get("citations")
    yield from (each for each in cited if isinstance(each, dict)) if isinstance(cited, list) else ()


def tool_name(function: JsonObject) -> str:
    """The name of the tool that is called. Raises InvalidAnswerError if there is none."""
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise InvalidAnswerError("The model calls a tool without a name.")
    return str(function["name"])


def tool_input(arguments: object) -> dict[str, Any]:
    """The arguments of a call, which are a text, as the object that they have to be. Raises InvalidAnswerError."""
    if not isinstance(arguments, str) or not arguments.strip():
        return {}
    try:
        value = json.loads(arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidAnswerError("The model calls a tool with arguments that are no JSON object.")
    return value


def is_cut(choice: JsonObject) -> bool:
    """Whether an answer was ended before its model was done, so that its last call may lack the rest."""
    return choice.get("finish_reason") in ("length", "content_filter")


def _is_input(arguments: object) -> bool:
    try:
        tool_input(arguments)
    except InvalidAnswerError:
        return False
    return isinstance(arguments, str) and bool(arguments.strip())


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _created(usage: JsonObject) -> int:
    details = usage.get("prompt_tokens_details")
    inner = details if isinstance(details, dict) else {}
    found = (
        usage.get("cache_creation_input_tokens"),
        inner.get("cache_creation_tokens"),
        inner.get("cache_write_tokens"),
    )
    return next((count for count in found if isinstance(count, int) and count > 0), 0)


def _blocks(said: JsonObject, *, is_cut: bool) -> Iterator[AnswerBlock]:
    yield from _thoughts(said)
    cited = list(citations_in(said)) or None
    for name in ("content", "refusal"):
        if isinstance(said.get(name), str) and said[name]:
            yield {"type": "text", "text": said[name], "citations": cited}
            cited = None
    calls = [*(said.get("tool_calls") or [])]
    if said.get("function_call"):
        calls.append({"function": said["function_call"]})
    for position, call in enumerate(calls):
        function = call.get("function") or {}
        if is_cut and position == len(calls) - 1 and not _is_input(function.get("arguments")):
            # It has no end, and nobody may run it.
            continue
        identity = call.get("id") or f"call_{position}"
        if (extra := extra_of(call)) is not None:
            yield {"type": "redacted_thinking", "data": sealed_extra(identity, extra)}
        yield {
            "type": "tool_use",
            "id": identity,
            "name": tool_name(function),
            "input": tool_input(function.get("arguments")),
            "caller": DIRECT,
        }


def _thoughts(said: JsonObject) -> Iterator[AnswerBlock]:
    blocks = said.get("thinking_blocks")
    if isinstance(blocks, list) and blocks:
        for block in blocks:
            if block.get("type") == "redacted_thinking":
                yield {"type": "redacted_thinking", "data": str(block.get("data") or "")}
            else:
                yield {
                    "type": "thinking",
                    "thinking": str(block.get("thinking") or ""),
                    "signature": str(block.get("signature") or ""),
                }
    elif text := thinking_text(said):
        yield {"type": "thinking", "thinking": text, "signature": ""}
