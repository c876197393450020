"""The output guard on a whole answer."""

from collections.abc import Mapping

from sluice.chat import JsonObject, ResponseFormat
from sluice.guards.chunks import TEXTS
from sluice.guards.output import check_answer
from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import Finding, Mode
from sluice.guards.structured_stream import structured_message


def judge_answer(
    body: JsonObject, response_format: ResponseFormat | None, modes: Mapping[str, Mode]
) -> tuple[JsonObject, tuple[Finding, ...]]:
    """The `chat.completion` in `body` with its JSON repaired where that was needed, and what the rules found.

    Raises GuardBlockedError, InvalidJsonAnswerError.
    """
    found: dict[str, Finding] = {}
    choices = []
    for choice in body["choices"]:
        message = choice.get("message") or {}
        for text in _texts(message):
            findings = check_answer(text, modes=modes)
            raise_if_blocked(findings, param=None)
            found |= {finding.rule_id: finding for finding in findings}
        structured = structured_message(message, choice.get("finish_reason"), response_format)
        choices.append(choice if structured is message else {**choice, "message": structured})
    is_as_it_was = all(new is old for new, old in zip(choices, body["choices"], strict=True))
    return body if is_as_it_was else {**body, "choices": choices}, tuple(found.values())


def _texts(message: JsonObject) -> list[str]:
    calls = [(call.get("function") or {}).get("arguments") for call in message.get("tool_calls") or []]
    own = (message.get(name) for name in TEXTS)
    return [text for text in (*own, *calls) if isinstance(text, str) and text]
