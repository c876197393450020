"""/api/v1/llm: a prompt or messages in, a flat answer out, over the same path as /v1/chat/completions."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sluice.api.chat import QUESTION
from sluice.api.labels import naming_headers
from sluice.api.route import Call, Reply, Routes
from sluice.chat import ChatResponse, JsonObject
from sluice.tenants.tenant import Role

if TYPE_CHECKING:
    from sluice.api.compat.llm_models import FlatAnswer, LlmRequest, MessagesRequest, PromptRequest
    from sluice.gateway.provenance import Provenance

ROUTES = Routes("Chat")

_TYPES = "sluice.api.compat.llm_models"


@ROUTES.post(
    "/api/v1/llm/completion",
    role=Role.CALLER,
    example={"prompt": "Why is the sky blue?", "max_tokens": 64, "user_id": "student-7"},
    asks_a_model=True,
    asks_once=True,
    types_from=_TYPES,
)
def complete_prompt(call: "Call[PromptRequest]") -> "Reply[FlatAnswer]":
    """Answer a prompt."""
    return _complete(call)


@ROUTES.post(
    "/api/v1/llm/chat",
    role=Role.CALLER,
    example={"messages": QUESTION, "max_tokens": 64, "user_id": "student-7"},
    asks_a_model=True,
    asks_once=True,
    types_from=_TYPES,
)
def complete_messages(call: "Call[MessagesRequest]") -> "Reply[FlatAnswer]":
    """Answer messages."""
    return _complete(call)


def _complete[Asked: LlmRequest](call: "Call[Asked]") -> "Reply[FlatAnswer]":
    skip_cache = call.skips_cache or call.body.skip_cache
    context = replace(call.context, skip_cache=skip_cache, is_prompt_fixed=True)
    started_s = time.monotonic()
    with naming_headers(call.labels), call.body.naming_its_fields():
        asked = call.body.to_chat().labelled(call.labels)
        answer = call.app.gateway.complete(asked, call.principal, context)
    return Reply(_flat(answer.body, answer.provenance, time.monotonic() - started_s), answer.provenance)


def _flat(body: JsonObject, provenance: "Provenance", response_time_s: float) -> "FlatAnswer":
    """A whole answer of the gateway; token counts are those of when it was made, null if its provider said none."""
    chat = ChatResponse(body)
    usage = chat.usage
    return {
        "content": next(iter(chat.texts), ""),
        "tokens_used": usage.total_tokens if usage else None,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "cost_usd": None if provenance.cost_usd is None else float(provenance.cost_usd),
        "model": provenance.model or "",
        "provider": provenance.provider,
        "cached": provenance.is_cached,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "response_time_ms": round(response_time_s * 1000),
        "request_id": provenance.request_id,
    }
