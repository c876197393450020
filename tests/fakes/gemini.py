"""How a fake Gemini differs from OpenAI, whose protocol it speaks: https://ai.google.dev/gemini-api/docs/openai.

A tool call comes whole, without an index, signed, and its stream ends in "stop"; a conversation whose calls come back
unsigned is refused, as are fields that it does not know; errors are a list.
"""

from collections.abc import Iterator
from typing import Any

from tests.fakes.answers import Answer

type Json = dict[str, Any]

SIGNATURE = "c2lnbmVkIGJ5IEdlbWluaQ=="
UNSIGNED = "skip_thought_signature_validator"
_OF_MESSAGES = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})
_OF_CALLS = frozenset({"id", "type", "function", "extra_content"})
_STATUSES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def error_body(status: int, message: str) -> list[Json]:
    """An error as Gemini writes it."""
    return [{"error": {"code": status, "message": message, "status": _STATUSES.get(status, "INTERNAL")}}]


def check(request: Json) -> None:
    """Refuse what Gemini refuses. Raises ValueError."""
    for position, message in enumerate(request["messages"]):
        for name in sorted(message.keys() - _OF_MESSAGES):
            raise ValueError(f"Unknown name \"{name}\" at 'messages[{position}]': Cannot find field.")
        calls = message.get("tool_calls") or []
        for call in calls:
            for name in sorted(call.keys() - _OF_CALLS):
                raise ValueError(f"Unknown name \"{name}\" at 'messages[{position}].tool_calls': Cannot find field.")
        google = ((calls[0].get("extra_content") or {}).get("google") or {}) if calls else {}
        if calls and google.get("thought_signature") not in (SIGNATURE, UNSIGNED):
            raise ValueError("Function call is missing a thought_signature in functionCall parts.")


class GeminiAnswer(Answer):
    """An answer before it is written."""

    def body(self) -> Json:
        body = super().body()
        for choice in body["choices"]:
            _sign(choice["message"])
        return body | {"model": "models/" + body["model"]}

    def chunks(self) -> Iterator[Json]:
        for chunk in super().chunks():
            for choice in chunk["choices"]:
                if choice["finish_reason"] == "tool_calls":
                    choice["finish_reason"] = "stop"
            yield chunk

    def _tool_chunks(self, index: int, number: int, call: Json) -> Iterator[Json]:
        delta = {"tool_calls": [dict(call)]}
        _sign(delta)
        yield self._chunk(index, delta)


def _sign(message: Json) -> None:
    for call in message.get("tool_calls") or []:
        call["extra_content"] = {"google": {"thought_signature": SIGNATURE}}
