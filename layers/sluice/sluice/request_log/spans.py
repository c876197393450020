"""Spans of a request for OpenTelemetry: one of the whole, and one of each call of a provider. Pure.

They say what the log's line says. Sources: the OTLP specification's JSON encoding (ids in hexadecimal, times as text in
nanoseconds), W3C's "Trace Context" for `traceparent`, AWS's for `x-amzn-trace-id`, and OpenTelemetry's conventions for
generative AI.
"""

import hashlib
import re
from collections.abc import Mapping

from sluice.loading.dataclass import dataclass
from sluice.request_log.line import fields_of
from sluice.request_log.record import Attempted, RequestOutcome, RequestRecord

type _Value = dict[str, object]

_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_XRAY_ROOT = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})", re.ASCII)
_XRAY_PARENT = re.compile(r"Parent=([0-9a-f]{16})", re.ASCII)
_SERVER, _CLIENT = 2, 3
_OK, _ERROR = 1, 2
_NANOSECONDS_PER_MS = 1_000_000
_ANSWERED = "answered"
_NOT_OF_A_SPAN = ("level", "message", "timestamp", "tried")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The trace that a request is part of, and its span there, "" if none is known."""

    trace_id: str
    span_id: str = ""
    is_sampled: bool = True


def trace_parent(headers: Mapping[str, str], request_id: str) -> TraceParent:
    """What the headers of a request say of its trace; without that, the request begins one, named as itself."""
    if found := _TRACE_PARENT.fullmatch(headers.get("traceparent", "").strip()):
        trace_id, span_id, flags = found.groups()
        if int(trace_id, 16) and int(span_id, 16):
            return TraceParent(trace_id, span_id, bool(int(flags, 16) & 1))
    of_aws = headers.get("x-amzn-trace-id", "")
    if root := _XRAY_ROOT.search(of_aws):
        parent = _XRAY_PARENT.search(of_aws)
        return TraceParent(root[1] + root[2], parent[1] if parent else "", "Sampled=0" not in of_aws)
    return TraceParent(request_id.removeprefix("req_"))


def spans_of(record: RequestRecord, parent: TraceParent, ended_ns: int, service: str) -> dict[str, object]:
    """What a collector is sent of a request that ended at `ended_ns`, in nanoseconds since 1970."""
    began_ns = ended_ns - record.total_ms * _NANOSECONDS_PER_MS
    own_id = _span_id(record.request_id, 0)
    said = {name: value for name, value in fields_of(record, 0).items() if name not in _NOT_OF_A_SPAN}
    whole = {
        "traceId": parent.trace_id,
        "spanId": own_id,
        **({"parentSpanId": parent.span_id} if parent.span_id else {}),
        "name": f"{_operation(record)} {record.model}".strip(),
        "kind": _SERVER,
        "startTimeUnixNano": str(began_ns),
        "endTimeUnixNano": str(ended_ns),
        "attributes": [*_gen_ai(record), *(_attribute(f"sluice.{name}", value) for name, value in said.items())],
        "status": {"code": _OK if record.outcome is RequestOutcome.ANSWERED else _ERROR},
    }
    calls = [
        _call(each, number, whole, began_ns) for number, each in enumerate(record.attempts, start=1) if each.time_ms
    ]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [_attribute("service.name", service or "sluice")]},
                "scopeSpans": [{"scope": {"name": "sluice"}, "spans": [whole, *calls]}],
            }
        ]
    }


def _call(attempt: Attempted, number: int, whole: Mapping[str, object], began_ns: int) -> dict[str, object]:
    started_ns = began_ns + attempt.began_ms * _NANOSECONDS_PER_MS
    return {
        "traceId": whole["traceId"],
        "spanId": _span_id(str(whole["spanId"]), number),
        "parentSpanId": whole["spanId"],
        "name": f"call {attempt.deployment}",
        "kind": _CLIENT,
        "startTimeUnixNano": str(started_ns),
        "endTimeUnixNano": str(started_ns + attempt.time_ms * _NANOSECONDS_PER_MS),
        "attributes": [
            _attribute("sluice.deployment", attempt.deployment),
            _attribute("sluice.result", attempt.result),
            *([_attribute("http.response.status_code", attempt.status)] if attempt.status else []),
        ],
        "status": {"code": _OK if attempt.result == _ANSWERED else _ERROR},
    }


def _operation(record: RequestRecord) -> str:
    """As OpenTelemetry's conventions name it."""
    return "embeddings" if record.route == "createEmbeddings" else "chat"


def _gen_ai(record: RequestRecord) -> list[_Value]:
    values: dict[str, object] = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": record.provider,
        "gen_ai.request.model": record.asked_model,
        "gen_ai.response.model": record.model,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
    }
    return [_attribute(name, value) for name, value in values.items() if value != ""]


def _attribute(name: str, value: object) -> _Value:
    match value:
        case bool():
            typed: dict[str, object] = {"boolValue": value}
        case int():
            typed = {"intValue": str(value)}
        case float():
            typed = {"doubleValue": value}
        case _:
            typed = {"stringValue": str(value)}
    return {"key": name, "value": typed}


def _span_id(of: str, number: int) -> str:
    return hashlib.blake2b(f"{of}#{number}".encode(), digest_size=8).hexdigest()
