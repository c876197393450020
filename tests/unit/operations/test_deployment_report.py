from dataclasses import replace

import pytest

from sluice.catalog.model import FREE, Model, ProviderRow, Tier
from sluice.chat import JsonObject
from sluice.operations.deployment_report import health_report, provider_report, quota_report
from sluice.providers.base import ProviderConfig
from sluice.providers.deployment import Deployment, DeploymentLimit
from sluice.quota.item import QuotaItem, slot_name
from sluice.quota.status import QuotaSnapshot
from sluice.quota.windows import ROLLING_MINUTE

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS // 1000
SLICE = ROLLING_MINUTE.slice_at(NOW_MS)
DEPLOYMENT = Deployment(
    provider=ProviderRow("groq", "groq", None, 1, 10.0),
    alias="groq-1",
    model=Model("small", "groq", Tier.FAST, 1000, 1000, FREE, {}),
    config=ProviderConfig("groq", "groq-1", "secret-key"),
    limits=(DeploymentLimit("requests_per_minute", 1000, is_fixed=False),),
    priority=1,
)
OTHER = replace(DEPLOYMENT, alias="groq-2")


def seen(**attributes: float) -> dict[str, QuotaSnapshot]:
    """The deployment with these attributes in its item."""
    item = QuotaItem({name: {"N": str(value)} for name, value in attributes.items()})
    return {"deployment#groq-1#small": QuotaSnapshot(item)}


def used(requests: int, index: int = SLICE) -> dict[str, float]:
    return {"hm": index, "r": requests, slot_name(ROLLING_MINUTE, index): requests}


def quota(**attributes: float) -> JsonObject:
    [row] = quota_report([DEPLOYMENT], seen(**attributes), NOW_MS)["data"]
    return dict(row)


def health(**attributes: float) -> JsonObject:
    [row] = health_report([DEPLOYMENT], seen(**attributes), NOW_MS)["data"]
    return dict(row)


@pytest.mark.parametrize(
    ("requests", "percentage", "warning"),
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
def test_a_warning_comes_exactly_at_its_percentage(requests: int, percentage: float, warning: str | None) -> None:
    limit = quota(**used(requests))["limits"]["rpm"]
    left = max(0, 1000 - requests)
    assert (limit["percentage"], limit["warning"], limit["remaining"]) == (percentage, warning, left)


def test_what_has_left_the_minute_no_longer_counts() -> None:
    row = quota(**used(900, SLICE - 51))
    assert (row["limits"]["rpm"]["used"], row["limits"]["rpm"]["resets_in_seconds"], row["warnings"]) == (0, 0, [])


def test_a_capacity_that_the_provider_named_counts() -> None:
    limit = quota(**used(30), cr=60)["limits"]["rpm"]
    assert (limit["limit"], limit["percentage"]) == (60, 50)


def test_a_block_and_its_reason_are_a_warning() -> None:
    row = quota(b=NOW_MS + 4_001)
    assert (row["blocked_for_seconds"], row["warnings"]) == (5, ["groq-1#small: blocked by provider for 5 s"])
    assert quota(b=NOW_MS + 4_001, w=1)["warnings"] == ["groq-1#small: credential refused for 5 s"]
    assert quota(b=NOW_MS - 1)["blocked_for_seconds"] == 0


def test_a_refused_key_says_since_when_and_why_everywhere() -> None:
    attributes = {"b": NOW_MS + 40_000, "w": 111}
    refused = {"reason": "credential refused", "since": NOW_S + 40 - 11 * 60, "until": NOW_S + 40}
    assert quota(**attributes)["refused"] == health(**attributes)["refused"] == refused
    [provider] = provider_report([DEPLOYMENT], seen(**attributes), NOW_MS)["data"]
    assert provider["credentials"][0]["models"][0]["refused"] == refused
    assert health(b=NOW_MS + 1)["refused"] == {"reason": "rate limited", "since": None, "until": NOW_S + 1}
    for over in ({}, {"b": NOW_MS, "w": 111}):
        assert quota(**over)["refused"] is health(**over)["refused"] is None


def test_a_deployment_that_was_never_used_is_free_and_healthy() -> None:
    [row] = quota_report([DEPLOYMENT], {}, NOW_MS)["data"]
    limit = row["limits"]["rpm"]
    assert limit is not None
    assert (limit["used"], row["limits"]["tpd"]) == (0, None)
    [healthy] = health_report([DEPLOYMENT], {}, NOW_MS)["data"]
    assert (healthy["is_healthy"], healthy["health_score"], healthy["response_time_ms"]) == (True, 1, None)


def test_health_is_what_the_ledger_notes() -> None:
    row = health(ns=0.8, f=2, nt=512.25)
    assert (row["success_rate"], row["consecutive_failures"], row["response_time_ms"]) == (0.8, 2, 512.2)
    assert (row["health_score"], row["is_healthy"]) == (0.48, True)
    assert health(f=5)["is_healthy"] is False


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ({}, "CLOSED"),
        ({"f": 4, "o": NOW_S + 60}, "CLOSED"),
        ({"f": 5, "o": NOW_S + 1}, "OPEN"),
        ({"f": 5, "o": NOW_S}, "HALF_OPEN"),
        ({"f": 5, "o": NOW_S + 60, "p": 1}, "HALF_OPEN"),
    ],
)
def test_a_circuit_that_is_not_closed_is_not_healthy(attributes: dict[str, float], shown: str) -> None:
    row = health(**attributes)
    assert (row["circuit"], row["is_healthy"]) == (shown, shown == "CLOSED")


def test_the_whole_is_healthy_degraded_or_unhealthy() -> None:
    broken = seen(f=5)

    def status(*deployments: Deployment) -> object:
        return health_report(deployments, broken, NOW_MS)["status"]

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
    report = provider_report([deployment], {}, NOW_MS)
    assert report["data"][0]["credentials"][0]["base_url"] == shown
    assert "secret-key" not in str(report)
