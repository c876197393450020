"""The one line that the log has of a request, which also is its metrics. Pure.

Where OpenTelemetry's conventions for generative AI have a name for a number, it is that one
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/). No dimension holds what callers choose: tenants,
deployments, models and rules are those that operators made, and reasons are those below.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from sluice.request_log.record import Attempted, GuardModelUse, RequestOutcome, RequestRecord
from sluice.telemetry.metrics import Metric

OPEN_CIRCUIT = "circuit open"
GUARD = "guard"
OTHER = "other"
REASONS = frozenset(
    {
        "rate_limit_exceeded",
        "insufficient_quota",
        "request_exceeds_limit",
        "invalid_request",
        "context_length_exceeded",
        "request_too_large",
        "model_not_found",
        "model_not_allowed",
        "model_without_price",
        "insufficient_role",
        "not_found",
        "conflict",
        "idempotency_key_in_use",
        "idempotency_key_reused",
        "idempotent_answer_too_large",
        "no_provider_available",
        "quota_unavailable",
        "storage_unavailable",
        "deadline_exceeded",
        "invalid_answer",
        "answer_interrupted",
        "internal_error",
    }
)
_NANO = 1_000_000_000
_AUTO, _SMART = "auto", "smart"


def reason_of_record(record: RequestRecord) -> str:
    """Why a request was not answered, as one of few words: a guard, a code of Sluice's own, or another one."""
    if record.error_code in record.guard_rules:
        return GUARD
    return record.error_code if record.error_code in REASONS else OTHER


def fields_of(record: RequestRecord, now_s: float) -> dict[str, object]:
    """What the line says beside its metrics. The user whom the request named is not in it."""
    said: dict[str, object] = {
        "level": "INFO",
        "message": "request",
        "timestamp": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
        "request_id": record.request_id,
        "api_request_id": record.api_request_id,
        "route": record.route,
        "tenant": record.tenant,
        "caller": record.caller,
        "task": record.task,
        "outcome": str(record.outcome),
        "status": record.status,
        "code": record.error_code,
        "asked_model": record.asked_model,
        "model": record.model,
        "deployment": record.deployment,
        "provider": record.provider,
        "complexity": record.complexity,
        "cache": record.cache,
        "attempts": sum(1 for each in record.attempts if each.time_ms),
        "tried": [_tried(each) for each in record.attempts],
        "guard_flags": ",".join(record.guard_rules),
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cost_usd": record.cost_nanousd / _NANO,
        "infra_cost_usd": record.infra_nanousd / _NANO,
        "total_ms": record.total_ms,
        "first_token_ms": record.first_token_ms,
        "provider_ms": record.provider_ms,
        "own_ms": record.own_ms,
    }
    said = {name: value for name, value in said.items() if value not in ("", [])}
    if record.outcome is not RequestOutcome.ANSWERED:
        said["reason"] = reason_of_record(record)
    if record.guard_rules:
        said["rule"] = record.guard_rules[0]
    if record.guard_models:
        said["guard_models"] = [_judged(each) for each in record.guard_models]
        said["guard_cost_usd"] = record.guard_nanousd / _NANO
        said["guard_ms"] = record.guard_ms
    return said


def metrics_of(record: RequestRecord, quota_used: float | None, budget_used: float | None) -> list[Metric]:
    """The metrics of a request. `quota_used` of its deployment and `budget_used` of its tenant are shares in 0..1."""
    return list(_metrics_of(record, quota_used, budget_used))


def _metrics_of(record: RequestRecord, quota_used: float | None, budget_used: float | None) -> Iterator[Metric]:
    outcome = record.outcome
    yield Metric("Requests", 1, by=(("tenant",),))
    yield Metric("InfrastructureDollars", record.infra_nanousd / _NANO, "None")
    yield Metric("OwnTime", record.own_ms, "Milliseconds")
    if outcome is RequestOutcome.REFUSED:
        yield Metric("Refusals", 1, by=(("reason",),))
    elif outcome is RequestOutcome.FAILED:
        yield Metric("Failures", 1, by=(("reason",),))
    elif outcome is RequestOutcome.INTERRUPTED:
        yield Metric("BrokenStreams", 1)
    if record.guard_rules:
        yield Metric("GuardFindings", len(record.guard_rules), by=(("rule",),))
    if record.guard_models:
        yield Metric("GuardModelDollars", record.guard_nanousd / _NANO, "None", by=(("tenant",),))
        yield Metric("GuardModelTime", record.guard_ms, "Milliseconds")
    if circuits := sum(1 for each in record.attempts if each.result == OPEN_CIRCUIT):
        yield Metric("OpenCircuits", circuits)
    if record.cache in {"hit", "miss"}:
        # Its average is the share of requests that the cache answered, of those that it might have.
        yield Metric("CacheHits", int(record.cache == "hit"))
    if record.deployment and record.cache != "hit":
        yield from _of_a_model(record)
    if quota_used is not None:
        yield Metric("QuotaUsed", round(100 * quota_used, 1), "Percent", by=(("deployment",),))
    if budget_used is not None:
        yield Metric("BudgetUsed", round(100 * budget_used, 1), "Percent", by=(("tenant",),))


def _of_a_model(record: RequestRecord) -> Iterator[Metric]:
    if record.asked_model == _AUTO and record.tier:
        # Its average is the share of the scarce tier in what is routed.
        yield Metric("SmartModelShare", 100 * int(record.tier == _SMART), "Percent", by=(("tenant",),))
    calls = sum(1 for each in record.attempts if each.time_ms)
    yield Metric("Fallbacks", max(0, calls - record.asks))
    yield Metric("ProviderTime", record.provider_ms, "Milliseconds", by=(("provider",),))
    yield Metric("Dollars", record.cost_nanousd / _NANO, "None", by=(("tenant",), ("model",)))
    tokens = record.prompt_tokens + record.completion_tokens
    yield Metric("gen_ai.client.token.usage", tokens, by=(("tenant",),))
    yield Metric("gen_ai.usage.input_tokens", record.prompt_tokens)
    yield Metric("gen_ai.usage.output_tokens", record.completion_tokens)
    yield Metric("gen_ai.client.operation.duration", record.total_ms / 1000, "Seconds", by=(("model",),))
    if record.first_token_ms:
        yield Metric("gen_ai.server.time_to_first_token", record.first_token_ms / 1000, "Seconds", by=(("model",),))


def _judged(use: GuardModelUse) -> str:
    return f"{use.judged} {use.model}: {use.judgement} ({use.verdict})"


def _tried(attempt: Attempted) -> str:
    return f"{attempt.deployment}: {attempt.result}"
