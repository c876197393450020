"""Reports on quotas, health and providers of the deployments, for operators. Pure."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NotRequired, TypedDict

from pydantic import Field

from sluice.catalog.model import Tier
from sluice.operations.pace import rolling_runs_out_at_s
from sluice.providers.credentials import BrokenCredential
from sluice.providers.deployment import Deployment as DeploymentRecord
from sluice.providers.urls import shown_url
from sluice.quota.circuit import CircuitState
from sluice.quota.item import BlockReason
from sluice.quota.limits import LimitStatus
from sluice.quota.status import NEVER_USED, QuotaSnapshot, reached_percentage
from sluice.routing.deployment_quota import health_from, limits_of, scope_of

# Shown of every deployment, null where it has no such limit.
_ALWAYS_SHOWN = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day")
_SHORT_NAMES = {
    "requests_per_minute": "rpm",
    "requests_per_day": "rpd",
    "tokens_per_minute": "tpm",
    "tokens_per_day": "tpd",
    "characters_per_month": "cpm",
}


class Deployment(TypedDict):
    """A model on a credential."""

    deployment: str
    provider: str
    credential: Annotated[str, Field(description="Its alias.")]
    model: str
    tier: Tier
    is_enabled: bool


class Refusal(TypedDict):
    """Why nothing is sent to a deployment for now. It is asked again when `until` has come. Seconds since 1970."""

    reason: Literal["rate limited", "credential refused", "model not served"]
    since: Annotated[int | None, Field(description="When it began, if that is kept; of rate limits it is not.")]
    until: int


class LimitStanding(TypedDict):
    """How much of a limit is used."""

    name: str
    used: int
    limit: int
    remaining: int
    percentage: float
    resets_in_seconds: Annotated[int, Field(description="Until all of it is free again.")]
    runs_out_at: Annotated[
        int | None,
        Field(description="When a day's limit is used up at the last hour's rate, in seconds since 1970; else null."),
    ]
    warning: str | None


class DeploymentQuota(Deployment):
    """How much of a deployment's limits is used: `rpm`, `rpd`, `tpm`, `tpd`; null where there is no such limit."""

    limits: dict[str, LimitStanding | None]
    blocked_for_seconds: Annotated[int, Field(description="How long its provider wants to be left alone.")]
    refused: Annotated[Refusal | None, Field(description="Why that is, and since when.")]
    warnings: list[str]


class Quotas(TypedDict):
    """How much of each deployment's limits is used, and what is nearly used up."""

    object: Literal["list"]
    data: list[DeploymentQuota]
    warnings: list[str]


class DeploymentHealth(Deployment):
    """How a deployment has done lately. Scores and rates are from 0 to 1."""

    is_healthy: bool
    health_score: float
    success_rate: float
    consecutive_failures: int
    response_time_ms: float | None
    refused: Annotated[Refusal | None, Field(description="Why nothing is sent to it for now, null if that is not so.")]
    circuit: Annotated[CircuitState, Field(description="CLOSED: calls go through; HALF_OPEN: one call, which tries.")]


type HealthStatus = Literal["healthy", "degraded", "unhealthy"]
"""Whether all, some or none of the deployments that are switched on are fit for requests."""


class Healths(TypedDict):
    """Whether all, some or none of the deployments that are switched on are fit for requests.

    For operators, also how each has done lately.
    """

    object: NotRequired[Literal["list"]]
    status: HealthStatus
    data: NotRequired[list[DeploymentHealth]]


class ServedModel(TypedDict):
    """A model on a credential."""

    id: str
    tier: Tier
    is_enabled: bool
    priority: int
    limits: dict[str, int]
    refused: Annotated[Refusal | None, Field(description="Why nothing is sent to it for now, null if that is not so.")]


class ListedCredential(TypedDict):
    """An API key of a provider, by its alias. The key itself is not shown."""

    alias: str
    base_url: str | None
    timeout_seconds: float
    priority: Annotated[int, Field(description="Its own, or else its provider's; 1 comes first.")]
    models: list[ServedModel]


class Provider(TypedDict):
    """A company's API."""

    id: str
    object: Literal["provider"]
    adapter: str
    priority: int
    credentials: list[ListedCredential]


class UnusableCredential(TypedDict):
    """An entry of the credentials secret that can't be used. The others can."""

    position: Annotated[int, Field(description="Where it is in the secret, counted from 0.")]
    alias: str | None
    reason: Annotated[str, Field(description="Which field is wrong, and why.")]


class Providers(TypedDict):
    """The providers there are credentials for, and what is wrong with the secret that holds these."""

    object: Literal["list"]
    data: list[Provider]
    broken: list[UnusableCredential]
    problem: Annotated[
        str | None, Field(description="Why the secret as it is now does not serve, but what it was before.")
    ]


def quota_report(deployments: Iterable[DeploymentRecord], seen: Mapping[str, QuotaSnapshot], now_ms: int) -> Quotas:
    """How much of each deployment's limits is used, with a warning at 80 %, at 90 % and when one is used up."""
    rows = [_quota(deployment, seen.get(scope_of(deployment), NEVER_USED), now_ms) for deployment in deployments]
    return {"object": "list", "data": rows, "warnings": [warning for row in rows for warning in row["warnings"]]}


def health_report(deployments: Iterable[DeploymentRecord], seen: Mapping[str, QuotaSnapshot], now_ms: int) -> Healths:
    """How each deployment has done lately, and whether all, some or none of those switched on are fit for requests."""
    every = list(deployments)
    rows = [_health(deployment, seen.get(scope_of(deployment), NEVER_USED), now_ms) for deployment in every]
    # Sluice's own models can't be out of reach: they say nothing of those that can.
    own = {each.id for each in every if each.provider.adapter == "builtin"}
    fit = [row["is_healthy"] for row in rows if row["is_enabled"] and row["deployment"] not in own]
    status: HealthStatus
    status = "unhealthy" if not any(fit) else "healthy" if all(fit) else "degraded"
    return {"object": "list", "status": status, "data": rows}


def provider_report(
    deployments: Iterable[DeploymentRecord],
    seen: Mapping[str, QuotaSnapshot],
    now_ms: int,
    broken: Iterable[BrokenCredential] = (),
    problem: str | None = None,
) -> Providers:
    """The providers, their credentials by alias, and what each serves. API keys are not shown.

    `broken` are the entries of the secret that can't be used, `problem` is what is wrong with all of it.
    """
    providers: dict[str, Provider] = {}
    credentials: dict[tuple[str, str], ListedCredential] = {}
    for each in deployments:
        row = each.provider
        key = row.name, each.alias
        if row.name not in providers:
            providers[row.name] = {
                "id": row.name,
                "object": "provider",
                "adapter": row.adapter,
                "priority": row.priority,
                "credentials": [],
            }
        if key not in credentials:
            credentials[key] = {
                "alias": each.alias,
                "base_url": row.base_url and shown_url(row.base_url),
                "timeout_seconds": row.timeout_s,
                "priority": row.priority,
                "models": [],
            }
            providers[row.name]["credentials"].append(credentials[key])
        credentials[key]["models"].append(
            {
                "id": each.model.id,
                "tier": each.model.tier,
                "is_enabled": each.enabled,
                "priority": each.priority,
                "limits": {name: capacity for name, capacity, _ in each.limits},
                "refused": _refusal(seen.get(scope_of(each), NEVER_USED), now_ms),
            }
        )
    return {
        "object": "list",
        "data": list(providers.values()),
        "broken": [{"position": each.position, "alias": each.alias, "reason": each.reason} for each in broken],
        "problem": problem,
    }


def _quota(deployment: DeploymentRecord, seen: QuotaSnapshot, now_ms: int) -> DeploymentQuota:
    limits = limits_of(deployment)
    statuses = {limit.name: seen.status(limit, now_ms) for limit in limits}
    runs_out = {limit.name: rolling_runs_out_at_s(limit, seen, now_ms) for limit in limits}
    standings = {name: _limit(status, runs_out[name]) for name, status in statuses.items()}
    names = dict.fromkeys((*_ALWAYS_SHOWN, *statuses))
    blocked_ms = max(0, seen.item.blocked_until_ms - now_ms)
    warnings = [f"{deployment.id}: {name} is {said}" for name in statuses if (said := _warning(statuses[name]))]
    if blocked_ms:
        reason = seen.item.block_reason.denial.replace("_", " ")
        warnings.append(f"{deployment.id}: {reason} for {-(-blocked_ms // 1000)} s")
    return {
        **_named(deployment),
        "limits": {_SHORT_NAMES[name]: standings.get(name) for name in names},
        "blocked_for_seconds": -(-blocked_ms // 1000),
        "refused": _refusal(seen, now_ms),
        "warnings": warnings,
    }


def _limit(status: LimitStatus, runs_out_at: int | None) -> LimitStanding:
    return {
        "name": status.name,
        "used": status.used,
        "limit": status.capacity,
        "remaining": status.remaining,
        "percentage": round(100 * status.used / status.capacity, 1),
        "resets_in_seconds": -(-status.resets_in_ms // 1000),
        "runs_out_at": runs_out_at,
        "warning": _warning(status),
    }


def _warning(status: LimitStatus) -> str | None:
    if status.used >= status.capacity:
        return "exhausted"
    reached = reached_percentage(status)
    return None if reached is None else f"over {reached} % used"


def _health(deployment: DeploymentRecord, seen: QuotaSnapshot, now_ms: int) -> DeploymentHealth:
    health = health_from(seen)
    known_ms = health.response_time_ms
    return {
        **_named(deployment),
        "is_healthy": health.is_healthy,
        "health_score": round(health.score, 4),
        "success_rate": round(health.success_rate, 4),
        "consecutive_failures": health.consecutive_failures,
        "response_time_ms": None if known_ms is None else round(known_ms, 1),
        "refused": _refusal(seen, now_ms),
        "circuit": seen.circuit.state(now_ms),
    }


_REFUSALS: Mapping[BlockReason, Literal["rate limited", "credential refused", "model not served"]] = {
    BlockReason.RATE_LIMITED: "rate limited",
    BlockReason.CREDENTIAL_REFUSED: "credential refused",
    BlockReason.MODEL_NOT_SERVED: "model not served",
}


def _refusal(seen: QuotaSnapshot, now_ms: int) -> Refusal | None:
    item = seen.item
    if item.blocked_until_ms <= now_ms:
        return None
    since_ms = item.refused_since_ms
    return {
        "reason": _REFUSALS[item.block_reason],
        "since": None if since_ms is None else since_ms // 1000,
        "until": -(-item.blocked_until_ms // 1000),
    }


def _named(deployment: DeploymentRecord) -> Deployment:
    return {
        "deployment": deployment.id,
        "provider": deployment.provider.name,
        "credential": deployment.alias,
        "model": deployment.model.id,
        "tier": deployment.model.tier,
        "is_enabled": deployment.enabled,
    }
