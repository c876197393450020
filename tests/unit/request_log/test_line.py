"""The line of a request: what it says, and that no dimension holds what callers choose."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.request_log.line import OTHER, REASONS, fields_of, metrics_of
from sluice.request_log.record import Attempted, GuardModelUse, Judgement, RequestOutcome, RequestRecord
from sluice.telemetry.metrics import write_line

NOW_S = 1_764_115_200.0
ANSWERED = RequestRecord(
    request_id="req_1",
    api_request_id="api-1",
    tenant="acme",
    caller="key-1",
    user="ada",
    route="createChatCompletion",
    outcome=RequestOutcome.ANSWERED,
    status=200,
    model="small",
    deployment="fake-1#small",
    provider="gateway",
    complexity="simple",
    cache="miss",
    is_streamed=True,
    attempts=(
        Attempted("fake-0#small", "circuit open"),
        Attempted("fake-2#small", "RateLimited", 30, 429),
        Attempted("fake-1#small", "answered", 900),
    ),
    asks=1,
    prompt_tokens=40,
    completion_tokens=60,
    cost_nanousd=12_300,
    total_ms=1_000,
    first_token_ms=250,
    provider_ms=930,
    own_ms=70,
    infra_nanousd=21_300,
)


def line(capsys: pytest.CaptureFixture[str], record: RequestRecord, *used: float | None) -> dict[str, Any]:
    write_line(fields_of(record, NOW_S), metrics_of(record, *(used or (None, None))))
    [written] = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(written)
    return found


def metrics(found: dict[str, Any]) -> dict[str, float]:
    return {each["Name"]: found[each["Name"]] for one in found["_aws"]["CloudWatchMetrics"] for each in one["Metrics"]}


def test_an_answer_counts_what_it_took(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "a-stack")
    found = line(capsys, ANSWERED, 0.425, 0.1)
    assert metrics(found) == {
        "Requests": 1,
        "InfrastructureDollars": 0.0000213,
        "OwnTime": 70,
        "OpenCircuits": 1,
        "CacheHits": 0,
        "Fallbacks": 1,
        "ProviderTime": 930,
        "Dollars": 0.0000123,
        "gen_ai.client.token.usage": 100,
        "gen_ai.usage.input_tokens": 40,
        "gen_ai.usage.output_tokens": 60,
        "gen_ai.client.operation.duration": 1,
        "gen_ai.server.time_to_first_token": 0.25,
        "QuotaUsed": 42.5,
        "BudgetUsed": 10,
    }
    assert (found["request_id"], found["api_request_id"], found["tenant"]) == ("req_1", "api-1", "acme")
    for directive in found["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "Sluice"
        for dimensions in directive["Dimensions"]:
            assert dimensions[0] == "service"
            assert all(isinstance(found[name], str) and found[name] for name in dimensions)
    assert found["service"] == "a-stack"


@pytest.mark.parametrize(
    ("changes", "metric", "reason"),
    [
        ({"outcome": RequestOutcome.REFUSED, "error_code": "rate_limit_exceeded"}, "Refusals", "rate_limit_exceeded"),
        (
            {"outcome": RequestOutcome.REFUSED, "error_code": "prompt-injection", "guard_rules": ("prompt-injection",)},
            "Refusals",
            "guard",
        ),
        ({"outcome": RequestOutcome.REFUSED, "error_code": "anything"}, "Refusals", OTHER),
        (
            {"outcome": RequestOutcome.FAILED, "error_code": "no_provider_available"},
            "Failures",
            "no_provider_available",
        ),
    ],
)
def test_what_was_not_answered_counts_by_its_reason(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], metric: str, reason: str
) -> None:
    found = line(capsys, replace(ANSWERED, deployment="", **changes))
    assert found["reason"] == reason
    assert metrics(found)[metric] == 1
    assert "Dollars" not in metrics(found)


def test_a_hit_costs_no_provider_s_time(capsys: pytest.CaptureFixture[str]) -> None:
    found = metrics(line(capsys, replace(ANSWERED, cache="hit", attempts=())))
    assert found["CacheHits"] == 1
    assert "ProviderTime" not in found


def test_a_broken_stream_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert metrics(line(capsys, replace(ANSWERED, outcome=RequestOutcome.INTERRUPTED)))["BrokenStreams"] == 1


TEXT = st.text(max_size=12).map(lambda text: f"Quokka{text}")


@given(user=TEXT, task=TEXT, code=TEXT, reason=TEXT, outcome=st.sampled_from(RequestOutcome))
def test_what_callers_choose_is_no_dimension_and_their_user_is_not_said(
    user: str, task: str, code: str, reason: str, outcome: RequestOutcome
) -> None:
    record = replace(ANSWERED, user=user, task=task, error_code=code, reason=reason, outcome=outcome)
    said = fields_of(record, NOW_S)
    assert user not in [value for name, value in said.items() if name not in {"task", "code"}]
    assert "user" not in said
    for metric in metrics_of(record, 0.1, 0.1):
        for name in (name for names in metric.by for name in names):
            assert "Quokka" not in str(said[name])


def test_each_field_of_a_record_that_is_counted_is_a_number() -> None:
    assert {"prompt_tokens", "total_ms"} <= {each.name for each in fields(RequestRecord)}
    assert all(reason == reason.lower() for reason in REASONS)


@pytest.mark.parametrize(
    ("asked", "tier", "share"), [("auto", "smart", 100), ("auto", "fast", 0), ("small", "smart", None)]
)
def test_what_auto_routes_to_a_smart_model_is_a_share(
    capsys: pytest.CaptureFixture[str], asked: str, tier: str, share: int | None
) -> None:
    found = line(capsys, replace(ANSWERED, asked_model=asked, tier=tier))
    assert metrics(found).get("SmartModelShare") == share
    assert "SmartModelShare" not in metrics(line(capsys, replace(ANSWERED, asked_model=asked, tier=tier, cache="hit")))


def test_guard_models_are_named_and_what_they_took_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert not {name for name in line(capsys, ANSWERED) if name.lower().startswith("guard")}
    use = GuardModelUse(
        judged="prompt", model="pg", judgement=Judgement.PASSED, verdict="0.002", cost_nanousd=4_000, time_ms=80
    )
    found = line(capsys, replace(ANSWERED, guard_models=(use, replace(use, judged="answer"))))
    assert (metrics(found)["GuardModelDollars"], metrics(found)["GuardModelTime"]) == (0.000008, 160)
    assert found["guard_models"] == ["prompt pg: passed (0.002)", "answer pg: passed (0.002)"]
    assert found["cost_usd"] == 0.0000123
