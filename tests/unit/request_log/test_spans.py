"""Spans of a request: whose trace they are part of, and what they say."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.request_log.record import Attempted, RequestOutcome
from sluice.request_log.request_id import new_request_id
from sluice.request_log.spans import TraceParent, spans_of, trace_parent
from tests.unit.request_log.test_line import ANSWERED

REQUEST_ID = new_request_id(1_764_115_200_000)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ENDED_NS = 1_764_115_201_000_000_000
RECORD = replace(
    ANSWERED,
    request_id=REQUEST_ID,
    attempts=(
        Attempted("a#m", "circuit open"),
        Attempted("b#m", "RateLimited", 30, 429, 5),
        Attempted("c#m", "answered", 900, 0, 40),
    ),
)


@pytest.mark.parametrize(
    ("headers", "parent"),
    [
        ({}, TraceParent(REQUEST_ID.removeprefix("req_"))),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TraceParent(TRACE, SPAN)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, TraceParent(TRACE, SPAN, is_sampled=False)),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, TraceParent(REQUEST_ID.removeprefix("req_"))),
        ({"traceparent": "rubbish"}, TraceParent(REQUEST_ID.removeprefix("req_"))),
        (
            {"x-amzn-trace-id": f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"},
            TraceParent(TRACE, SPAN),
        ),
        ({"x-amzn-trace-id": f"Root=1-{TRACE[:8]}-{TRACE[8:]};Sampled=0"}, TraceParent(TRACE, is_sampled=False)),
    ],
)
def test_a_request_is_part_of_the_trace_that_it_came_with(headers: dict[str, str], parent: TraceParent) -> None:
    assert trace_parent(headers, REQUEST_ID) == parent


@given(st.text(max_size=80))
def test_no_header_breaks_a_request_or_makes_an_id_that_is_none(text: str) -> None:
    found = trace_parent({"traceparent": text, "x-amzn-trace-id": text}, REQUEST_ID)
    assert re.fullmatch("[0-9a-f]{32}", found.trace_id)
    assert re.fullmatch("([0-9a-f]{16})?", found.span_id)


def sent(**changes: Any) -> list[dict[str, Any]]:
    found: Any = spans_of(replace(RECORD, **changes), TraceParent(TRACE, SPAN), ENDED_NS, "a-stack")
    [resource] = found["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "a-stack"}}]
    spans: list[dict[str, Any]] = resource["scopeSpans"][0]["spans"]
    return spans


def test_the_request_and_each_call_are_spans_within_one_another() -> None:
    whole, limited, answered = sent()
    assert {span["traceId"] for span in (whole, limited, answered)} == {TRACE}
    assert whole["parentSpanId"] == SPAN
    assert limited["parentSpanId"] == answered["parentSpanId"] == whole["spanId"]
    assert len({span["spanId"] for span in (whole, limited, answered)}) == 3
    assert (whole["name"], answered["name"]) == ("chat small", "call c#m")
    for call in (limited, answered):
        assert int(whole["startTimeUnixNano"]) <= int(call["startTimeUnixNano"])
        assert int(call["endTimeUnixNano"]) <= int(whole["endTimeUnixNano"])
    assert (whole["status"], limited["status"]) == ({"code": 1}, {"code": 2})
    named = {each["key"]: each["value"] for each in whole["attributes"]}
    assert named["gen_ai.usage.output_tokens"] == {"intValue": "60"}
    assert named["sluice.tenant"] == {"stringValue": "acme"}
    assert "ada" not in str(whole)


@pytest.mark.parametrize(("route", "operation"), [("createChatCompletion", "chat"), ("createEmbeddings", "embeddings")])
def test_a_span_says_what_was_asked_for(route: str, operation: str) -> None:
    whole = sent(route=route)[0]
    named = {each["key"]: each["value"] for each in whole["attributes"]}
    assert whole["name"] == f"{operation} small"
    assert named["gen_ai.operation.name"] == {"stringValue": operation}


def test_what_was_not_answered_is_an_error() -> None:
    whole, *_ = sent(outcome=RequestOutcome.FAILED)
    assert whole["status"] == {"code": 2}
