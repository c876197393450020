"""Gemini in OpenAI's protocol (https://ai.google.dev/gemini-api/docs/openai), which it bends in one place.

Its models sign the tool calls that they make, and refuse a conversation in which a call comes back without a signature.
A call that another model has made has none; Gemini's documentation names what stands in for it.
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from typing import Any

from sluice.chat import ChatRequest, JsonObject
from sluice.providers.exchange import Call
from sluice.providers.openai_compatible import OpenAICompatibleProvider

UNSIGNED = "skip_thought_signature_validator"


class GeminiProvider(OpenAICompatibleProvider):
    """One API key of Gemini. Raises ValueError if `config.base_url` is missing or is no http(s) URL."""

    def _chat_call(self, request: ChatRequest, model: str, *, streamed: bool) -> Call:
        call = super()._chat_call(request, model, streamed=streamed)
        messages = [_signed(message) for message in call.body["messages"]]
        return Call({**call.body, "messages": messages}, call.api_key, call.path)


def _signed(message: JsonObject) -> JsonObject:
    """The message with a signature on the first of its tool calls, which stands for those beside it."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not calls or any(_has_signature(call) for call in calls):
        return message
    first = calls[0]
    if not isinstance(first, dict):
        return message
    extra = first.get("extra_content")
    signed = {**(extra if isinstance(extra, dict) else {}), "google": {"thought_signature": UNSIGNED}}
    return {**message, "tool_calls": [{**first, "extra_content": signed}, *calls[1:]]}


def _has_signature(call: Any) -> bool:
    extra = call.get("extra_content") if isinstance(call, dict) else None
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and bool(google.get("thought_signature"))
