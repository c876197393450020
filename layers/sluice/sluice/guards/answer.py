"""The output guard on a whole answer."""

from collections.abc import Mapping

from sluice.chat import JsonObject, ResponseFormat
from sluice.errors import InvalidAnswerError
from sluice.guards.chunks import TEXTS
from sluice.guards.output import check_answer
from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import Finding, Mode
from sluice.guards.structured_output import InvalidJsonAnswerError, enforce_json


def judge_answer(
    body: JsonObject, response_format: ResponseFormat | None, modes: Mapping[str, Mode]
) -> tuple[JsonObject, tuple[Finding, ...]]:
    """The `chat.completion` in `body` with its JSON repaired where that was needed, and what the rules found.

    Raises GuardBlockedError, InvalidJsonAnswerError when asking again may help, InvalidAnswerError when it won't.
    """
    found: dict[str, Finding] = {}
    choices = []
    for choice in body["choices"]:
        message = choice.get("message") or {}
        for text in _texts(message):
            findings = check_answer(text, modes=modes)
            raise_if_blocked(findings, param=None)
            found |= {finding.rule_id: finding for finding in findings}
        choices.append(_with_valid_json(choice, message, response_format))
    is_as_it_was = all(new is old for new, old in zip(choices, body["choices"], strict=True))
    return body if is_as_it_was else {**body, "choices": choices}, tuple(found.values())


def _texts(message: JsonObject) -> list[str]:
    calls = [(call.get("function") or {}).get("arguments") for call in message.get("tool_calls") or []]
    own = (message.get(name) for name in TEXTS)
    return [text for text in (*own, *calls) if isinstance(text, str) and text]


def _with_valid_json(choice: JsonObject, message: JsonObject, response_format: ResponseFormat | None) -> JsonObject:
    text = message.get("content")
    if not isinstance(text, str) or message.get("tool_calls"):
        return choice
    try:
        valid = enforce_json(text, response_format)
    except InvalidJsonAnswerError:
        if choice.get("finish_reason") == "length":
            raise InvalidAnswerError(
                "The answer was cut off before its JSON was complete: raise max_tokens.", param="max_tokens"
            ) from None
        raise
    return choice if valid == text else {**choice, "message": {**message, "content": valid}}
