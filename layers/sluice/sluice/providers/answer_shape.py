"""Brings answers into OpenAI's shape, and leaves alone what is in it already. Pure.

The rest of Sluice, and the caller's client, rely on what is done here: choices are objects with an index, texts are
texts of whole characters, tool calls are told apart, and a `finish_reason` is one of OpenAI's or null. Where a provider
has another word for it, that is kept beside it as `native_finish_reason`. What can't be read raises UnreadableError.
"""

from collections.abc import Iterator
from typing import Any

from sluice.chat import JsonObject
from sluice.providers.decoding import UnreadableError
from sluice.providers.tool_calls import CallTracker, NewId, arguments_text, new_id, whole_calls, whole_number
from sluice.providers.verdict import ending
from sluice.validation.text import CharacterJoiner, whole_characters

# Where a message's own texts are; one that is no text could not be guarded.
_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
# Lists of objects beside them: what a model thought, and what it cites.
_LISTS = ("thinking_blocks", "annotations")
_LIKELIHOODS = ("content", "refusal")
_TEXT_PARTS = frozenset({"text", "output_text", "input_text"})
_THOUGHT_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text"})
# A chunk that has no more than these says nothing: some servers keep a connection alive with them.
_FRAME = frozenset({"id", "object", "created", "model", "choices", "system_fingerprint", "service_tier", "type"})


def normalized_answer(body: JsonObject, make_id: NewId = new_id) -> JsonObject:
    """A whole answer in OpenAI's shape."""
    choices = []
    for position, choice in enumerate(choices_of(body)):
        message = choice.get("message")
        if message is None:
            # Proxies that turn a stream into an answer leave the delta, and servers of the older API have texts.
            message = choice.get("delta", {"content": choice["text"]} if isinstance(choice.get("text"), str) else None)
        if message is None:
            raise UnreadableError("a choice has no message")
        shaped = _message(message)
        if shaped.get("tool_calls") is not None:
            shaped["tool_calls"] = whole_calls(shaped["tool_calls"], make_id) or None
        for name in _TEXTS:
            if isinstance(shaped.get(name), str):
                shaped[name] = whole_characters(shaped[name])
        rest = {name: value for name, value in choice.items() if name not in ("message", "delta", "text")}
        choices.append(_ended({**rest, "index": _index(choice, position), "message": shaped}, shaped))
    return {**body, "choices": choices}


def choices_of(body: JsonObject) -> list[JsonObject]:
    """The choices of an answer or chunk that are there."""
    choices = body.get("choices")
    if choices is None:
        return []
    if not isinstance(choices, list):
        raise UnreadableError("the answer's choices are not a list of objects")
    found = [choice for choice in choices if choice is not None]
    if not all(isinstance(choice, dict) for choice in found):
        raise UnreadableError("the answer's choices are not a list of objects")
    return found


class StreamNormalizer:
    """Brings the chunks of one stream into OpenAI's shape."""

    def __init__(self, make_id: NewId = new_id) -> None:
        self._make_id = make_id
        self._calls: dict[int, CallTracker] = {}
        self._joiners: dict[tuple[int, str | int], CharacterJoiner] = {}
        self._has_calls: set[int] = set()

    def chunk(self, body: JsonObject) -> JsonObject | None:
        """A chunk in OpenAI's shape, None if there is nothing in it."""
        choices = [self._choice(choice, position) for position, choice in enumerate(choices_of(body))]
        if not choices and not any(value for name, value in body.items() if name not in _FRAME):
            return None
        return {**body, "choices": choices}

    def _choice(self, choice: JsonObject, position: int) -> JsonObject:
        index = _index(choice, position)
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message", {"content": choice["text"]} if isinstance(choice.get("text"), str) else {})
        shaped = _message({} if delta is None else delta)
        if shaped.get("tool_calls") is not None:
            parts = self._calls.setdefault(index, CallTracker(self._make_id)).parts(shaped["tool_calls"])
            self._has_calls.update([index] if parts else [])
            shaped["tool_calls"] = parts
            if not parts:
                del shaped["tool_calls"]
        self._join(index, shaped)
        # Some repeat all that was said so far as a `message` in every chunk: nobody would have judged that.
        rest = {name: value for name, value in choice.items() if name not in ("message", "delta", "text")}
        whole = _ended({**rest, "index": index, "delta": shaped}, {"tool_calls": index in self._has_calls})
        if whole["finish_reason"] is not None:
            self._finish(index, shaped)
        return whole

    def _join(self, index: int, delta: JsonObject) -> None:
        """Keep the first half of a character until its second half is here."""
        for name in _TEXTS:
            if isinstance(delta.get(name), str) and delta[name]:
                delta[name] = self._joiner(index, name).feed(delta[name])
        for call in delta.get("tool_calls") or []:
            function = call.get("function")
            if function and function.get("arguments"):
                joined = self._joiner(index, call["index"]).feed(function["arguments"])
                call["function"] = {**function, "arguments": joined}

    def _finish(self, index: int, delta: JsonObject) -> None:
        for (choice, where), joiner in self._joiners.items():
            if choice == index and (rest := joiner.rest()):
                if isinstance(where, str):
                    delta[where] = (delta.get(where) or "") + rest
                else:
                    calls = delta.setdefault("tool_calls", [])
                    calls.append({"index": where, "function": {"arguments": rest}})

    def _joiner(self, index: int, where: str | int) -> CharacterJoiner:
        return self._joiners.setdefault((index, where), CharacterJoiner())


def _ended(choice: JsonObject, message: JsonObject) -> JsonObject:
    """The choice with OpenAI's word for why it ended, and what the rest relies on checked."""
    given = choice.get("finish_reason")
    reason = ending(given)
    if reason == "stop" and message.get("tool_calls"):
        # Gemini's streams and Ollama end so; a client would not call the tool.
        reason = "tool_calls"
    ended = {**choice, "finish_reason": reason}
    if isinstance(given, str) and given != reason and (reason is not None or _says_something(given)):
        ended.setdefault("native_finish_reason", given)
    if choice.get("logprobs") is not None:
        ended["logprobs"] = _likelihoods(choice["logprobs"])
    return ended


def _likelihoods(given: object) -> JsonObject | None:
    """How likely tokens were, each with its text; None if it is told in another way."""
    if not isinstance(given, dict):
        return None
    return {**given, **{name: _tokens(given[name]) for name in _LIKELIHOODS if given.get(name) is not None}}


def _tokens(given: object) -> list[JsonObject] | None:
    if not isinstance(given, list):
        return None
    found = []
    for each in given:
        if not isinstance(each, dict) or not isinstance(each.get("token"), str):
            continue
        token = each if _is_number(each.get("logprob")) else {**each, "logprob": None}
        if token.get("top_logprobs") is not None:
            token = {**token, "top_logprobs": _tokens(token["top_logprobs"])}
        found.append(token)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _says_something(finish_reason: str) -> bool:
    return finish_reason.strip().lower() not in ("", "null", "none", "undefined", "nil")


def _index(choice: JsonObject, position: int) -> int:
    if choice.get("index") is None:
        return position
    index = whole_number(choice["index"])
    if index is None:
        raise UnreadableError("a choice's index is not a number from 0 on")
    return index


def _message(message: object) -> JsonObject:
    """A message or delta of its own, whose texts are texts."""
    if not isinstance(message, dict):
        raise UnreadableError("a choice's message is not an object")
    shaped = dict(message)
    for name in _TEXTS:
        if not isinstance(shaped.get(name), str | None):
            _flatten(shaped, name)
    for name in _LISTS:
        if isinstance(given := shaped.get(name), list):
            shaped[name] = [each for each in given if isinstance(each, dict)]
        elif given is not None:
            del shaped[name]
    function = shaped.get("function_call")
    if isinstance(function, dict) and "arguments" in function:
        shaped["function_call"] = {**function, "arguments": arguments_text(function["arguments"]) or ""}
    return shaped


def _flatten(message: JsonObject, name: str) -> None:
    """Make one text of a list of parts; what is no text stays beside it, and thoughts go where they belong."""
    texts: list[str] = []
    thoughts: list[str] = []
    others: list[JsonObject] = []
    for part in _parts(message[name]):
        kind = str(part.get("type") or "text")
        if kind in _THOUGHT_PARTS:
            thoughts += _texts_in(part)
        elif kind in _TEXT_PARTS:
            texts += _texts_in(part)
        elif kind == "refusal" and isinstance(part.get("refusal"), str):
            message["refusal"] = (message.get("refusal") or "") + part["refusal"]
        else:
            others.append(part)
    if name != "content":
        message[name] = "".join([*thoughts, *texts])
        return
    message["content"] = "".join(texts)
    if thoughts and isinstance(message.get("reasoning_content"), str | None):
        message["reasoning_content"] = (message.get("reasoning_content") or "") + "".join(thoughts)
    if others:
        message["content_parts"] = others


def _parts(value: object) -> Iterator[JsonObject]:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, dict) and (part.get("type") or part.get("text") is not None):
            yield part
        elif part is not None:
            raise UnreadableError("a message's content is not a text")


def _texts_in(part: JsonObject) -> list[str]:
    """The texts of one part, which may have parts itself: Mistral's thoughts do."""
    found: list[str] = []
    for name in ("text", "thinking", "reasoning", "summary"):
        value: Any = part.get(name)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list | dict):
            found += [text for inner in _parts(value) for text in _texts_in(inner)]
    return found
