"""What a deployment may be sent: what OpenAI documents, and what its row or credential names."""

from typing import Any

import pytest

from sluice.catalog.model import FREE, Price, TokenPrice
from sluice.chat import ChatRequest
from sluice.providers.allowed_fields import refused_field
from sluice.providers.base import ProviderConfig

PRICE = Price(1.0, 2.0, None, {"flex": TokenPrice(0.5, 1.0)})


def refused(price: Price | None = None, allowed: frozenset[str] = frozenset(), **fields: Any) -> str | None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})
    config = ProviderConfig(
        "openrouter", "or-1", "key", unsupported_fields=frozenset({"logprobs"}), allowed_fields=allowed
    )
    found = refused_field(request, config, price)
    assert found is None or found.reason
    return None if found is None else found.param


@pytest.mark.parametrize(
    "fields",
    [
        {"models": ["other"]},
        {"route": "fallback"},
        {"plugins": [{"id": "web"}]},
        {"provider": {"order": ["x"]}},
        {"web_search_options": {}},
        {"top_k": 5},
        {"extra_body": {}},
    ],
)
def test_what_openai_does_not_document_is_refused_unless_it_is_allowed(fields: dict[str, Any]) -> None:
    [name] = fields
    assert refused(**fields) == name
    assert refused(allowed=frozenset({name}), **fields) is None
    nothing: dict[str, Any] = {name: None}
    assert refused(**nothing) is None


def test_the_refusal_says_how_it_is_allowed() -> None:
    request = ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "models": ["other"]}
    )
    found = refused_field(request, ProviderConfig("openrouter", "or-1", "key"))
    assert found is not None
    assert "'models'" in found.reason
    assert "allowed_fields" in found.reason


def test_what_openai_documents_is_sent() -> None:
    fields: dict[str, Any] = {
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}],
        "response_format": {"type": "json_object"},
        "user": "u",
        "seed": 1,
        "logit_bias": {},
        "reasoning_effort": "low",
        "prediction": {"type": "content", "content": "x"},
        "store": False,
        "verbosity": "low",
    }
    assert refused(**fields) is None


def test_what_the_provider_does_not_know_is_refused_by_name() -> None:
    assert refused(logprobs=True) == "logprobs"
    assert refused(logprobs=None) is None


def test_tools_that_a_provider_runs_itself_are_refused_unless_they_are_allowed() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "browser_search"}]
    assert refused(tools=tools) == "tools[1].type"
    assert refused(allowed=frozenset({"tools.browser_search"}), tools=tools) is None


def test_formats_that_openai_does_not_know_are_refused_unless_they_are_allowed() -> None:
    for kind in ("text", "json_object", "json_schema"):
        assert refused(response_format={"type": kind}) is None
    assert refused(response_format={"type": "regex", "value": "a+"}) == "response_format.type"
    allowed = frozenset({"response_format.regex"})
    assert refused(allowed=allowed, response_format={"type": "regex", "value": "a+"}) is None


@pytest.mark.parametrize(
    ("tier", "price", "param"),
    [
        ("priority", PRICE, "service_tier"),
        ("flex", PRICE, None),
        ("auto", PRICE, None),
        ("default", PRICE, None),
        (None, PRICE, None),
        ("priority", FREE, None),
        ("priority", None, None),
        ({"tier": "x"}, PRICE, "service_tier"),
    ],
)
def test_a_service_tier_needs_a_price(tier: Any, price: Price | None, param: str | None) -> None:
    assert refused(price, service_tier=tier) == param


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("message", "param", "name"),
    [
        ({"role": "user", "content": [{"type": "document", "source": {}}]}, "content[0]", "messages.document"),
        (
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "a"}, IMAGE]},
            "content[1]",
            "messages.tool_image",
        ),
    ],
)
def test_a_part_that_changes_what_is_asked_is_refused_unless_it_is_allowed(
    message: dict[str, Any], param: str, name: str
) -> None:
    messages = [{"role": "user", "content": [IMAGE]}, message]
    assert refused(messages=messages) == f"messages[1].{param}.type"
    assert refused(allowed=frozenset({name}), messages=messages) is None


def test_thinking_is_refused_only_where_it_is_asked_for() -> None:
    assert refused(thinking={"type": "enabled"}) == "thinking"
    assert refused(thinking={"type": "enabled", "budget_tokens": 1024}) is None
    assert refused(thinking={"type": "adaptive"}) is None
    assert refused(thinking={"type": "disabled"}) is None
    assert refused(thinking="always") == "thinking"
    assert refused(cache_control={"type": "ephemeral"}) is None
