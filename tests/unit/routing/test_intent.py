"""Free chat is classified by its length and shape."""

from typing import Any

import pytest

from sluice.catalog.model import Tier
from sluice.chat import ChatRequest
from sluice.routing.intent import Complexity, classify


def request(content: Any, *before: dict[str, Any], **fields: Any) -> ChatRequest:
    messages = [*before, {"role": "user", "content": content}]
    return ChatRequest.model_validate({"model": "auto", "messages": messages} | fields)


@pytest.mark.parametrize(
    ("characters", "complexity"),
    [(1, "simple"), (200, "simple"), (201, "medium"), (1000, "medium"), (1001, "complex"), (100_000, "complex")],
)
def test_length_decides(characters: int, complexity: str) -> None:
    assert classify(request("x" * characters)) == complexity


def test_all_that_is_said_counts_but_not_the_tenants_own_words() -> None:
    said = {"role": "assistant", "content": "x" * 600}
    assert classify(request("x" * 600, said)) is Complexity.COMPLEX
    for role in ("system", "developer"):
        assert classify(request("x", {"role": role, "content": "x" * 5000})) is Complexity.SIMPLE
    parts = [{"type": "text", "text": "x" * 600}, {"type": "text", "text": "x" * 600}]
    assert classify(request(parts)) is Complexity.COMPLEX


def test_tools_and_schemas_make_a_request_medium_at_least() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert classify(request("x", response_format=schema)) is Complexity.MEDIUM
    assert classify(request("x", tools=tools)) is Complexity.MEDIUM
    assert classify(request("x", tools=[])) is Complexity.SIMPLE
    assert classify(request("x", response_format={"type": "json_object"})) is Complexity.SIMPLE
    assert classify(request("x" * 1001, tools=tools)) is Complexity.COMPLEX


def test_only_complex_requests_go_to_the_scarce_tier() -> None:
    assert [complexity.tier for complexity in Complexity] == [Tier.FAST, Tier.FAST, Tier.SMART]
