from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import CircuitState

from sluice.catalog import FREE, Model, ProviderRow, Tier
from sluice.chat import JsonObject
from sluice.operations.deployment_report import health_report, provider_report, quota_report
from sluice.providers.base import ProviderConfig
from sluice.providers.registry import Deployment, DeploymentLimit
from sluice.quota.ledger import Seen
from sluice.quota.limits import Counter, QuotaState
from sluice.routing.breaker import Circuit

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS / 1000
SECOND = NOW_MS // 1000
DEPLOYMENT = Deployment(
    provider=ProviderRow("groq", "groq", None, 1, 10.0),
    alias="groq-1",
    model=Model("small", "groq", Tier.FAST, 1000, 1000, FREE, {}),
    config=ProviderConfig("groq", "groq-1", "secret-key"),
    limits=(DeploymentLimit("requests_per_minute", 1000, is_fixed=False),),
    priority=1,
)
OTHER = replace(DEPLOYMENT, alias="groq-2")


def quota(used: int, **state: Any) -> JsonObject:
    counters = {"requests_per_minute": Counter(SECOND, used, {SECOND: used})}
    seen = {"deployment#groq-1#small": Seen(QuotaState(version=1, counters=counters, **state), {})}
    [row] = quota_report([DEPLOYMENT], seen, NOW_MS)["data"]
    return dict(row)


def health(notes: dict[str, float], circuit: Circuit | None = None, deployment: Deployment = DEPLOYMENT) -> JsonObject:
    seen = {f"deployment#{deployment.id}": Seen(QuotaState(), notes)}
    [row] = health_report([deployment], seen, {deployment.id: circuit or Circuit()}, NOW_S)["data"]
    return dict(row)


@pytest.mark.parametrize(
    ("used", "percentage", "warning"),
    [
        (0, 0, None),
        (799, 79.9, None),
        (800, 80, "over 80 % used"),
        (899, 89.9, "over 80 % used"),
        (900, 90, "over 90 % used"),
        (999, 99.9, "over 90 % used"),
        (1000, 100, "exhausted"),
        (1001, 100.1, "exhausted"),
    ],
)
def test_a_warning_comes_exactly_at_its_percentage(used: int, percentage: float, warning: str | None) -> None:
    limit = quota(used)["limits"]["rpm"]
    assert (limit["percentage"], limit["warning"], limit["remaining"]) == (percentage, warning, max(0, 1000 - used))


def test_what_has_left_the_minute_no_longer_counts() -> None:
    counters = {"requests_per_minute": Counter(SECOND - 70, 900, {SECOND - 70: 900})}
    seen = {"deployment#groq-1#small": Seen(QuotaState(version=1, counters=counters), {})}
    [row] = quota_report([DEPLOYMENT], seen, NOW_MS)["data"]
    limit = row["limits"]["rpm"]
    assert limit is not None
    assert (limit["used"], limit["resets_in_seconds"], row["warnings"]) == (0, 0, [])


def test_a_capacity_that_the_provider_named_counts() -> None:
    limit = quota(30, learned_capacities={"requests_per_minute": 60})["limits"]["rpm"]
    assert (limit["limit"], limit["percentage"]) == (60, 50)


def test_a_block_by_the_provider_is_a_warning() -> None:
    row = quota(1, blocked_until_ms=NOW_MS + 4_001)
    assert (row["blocked_for_seconds"], row["warnings"]) == (5, ["groq-1#small: blocked by its provider for 5 s"])
    assert quota(1, blocked_until_ms=NOW_MS - 1)["blocked_for_seconds"] == 0


def test_a_deployment_that_was_never_used_is_free_and_healthy() -> None:
    [row] = quota_report([DEPLOYMENT], {}, NOW_MS)["data"]
    limit = row["limits"]["rpm"]
    assert limit is not None
    assert (limit["used"], row["limits"]["tpd"]) == (0, None)
    [health] = health_report([DEPLOYMENT], {}, {}, NOW_S)["data"]
    assert (health["is_healthy"], health["health_score"], health["response_time_ms"]) == (True, 1, None)


def test_health_is_what_the_ledger_notes() -> None:
    row = health({"success_rate": 0.8, "consecutive_failures": 2, "response_time_ms": 512.25})
    assert (row["success_rate"], row["consecutive_failures"], row["response_time_ms"]) == (0.8, 2, 512.2)
    assert (row["health_score"], row["is_healthy"]) == (0.48, True)
    assert health({"consecutive_failures": 5})["is_healthy"] is False


@pytest.mark.parametrize(
    ("circuit", "shown", "is_healthy"),
    [
        (Circuit(), "closed", True),
        (Circuit(CircuitState.OPEN, opened_at=SECOND - 59), "open", False),
        (Circuit(CircuitState.OPEN, opened_at=SECOND - 60), "open", True),
        (Circuit(CircuitState.HALF_OPEN, probe_lease_expiry=SECOND + 1), "half_open", False),
        (Circuit(CircuitState.HALF_OPEN, probe_lease_expiry=SECOND), "half_open", True),
    ],
)
def test_a_circuit_that_turns_calls_away_is_not_healthy(circuit: Circuit, shown: str, is_healthy: bool) -> None:
    row = health({}, circuit)
    assert (row["circuit"], row["is_healthy"]) == (shown, is_healthy)


def test_the_whole_is_healthy_degraded_or_unhealthy() -> None:
    broken = {"deployment#groq-1#small": Seen(QuotaState(), {"consecutive_failures": 5})}

    def status(*deployments: Deployment) -> object:
        return health_report(deployments, broken, {}, NOW_S)["status"]

    assert status(OTHER) == "healthy"
    assert status(OTHER, DEPLOYMENT) == "degraded"
    assert status(DEPLOYMENT) == "unhealthy"
    assert status(OTHER, replace(DEPLOYMENT, enabled=False)) == "healthy"
    assert status() == "unhealthy"


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        (None, None),
        ("https://host:8443/v1", "https://host:8443/v1"),
        ("https://me:secret-key@host/v1?key=secret-key#secret-key", "https://host/v1"),
        ("http://secret-key@[::1]:80/v1/", "http://[::1]:80/v1/"),
    ],
)
def test_nothing_secret_of_a_url_is_shown(base_url: str | None, shown: str | None) -> None:
    deployment = replace(DEPLOYMENT, provider=replace(DEPLOYMENT.provider, base_url=base_url))
    report = provider_report([deployment])
    assert report["data"][0]["credentials"][0]["base_url"] == shown
    assert "secret-key" not in str(report)
