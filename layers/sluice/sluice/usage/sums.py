"""Sums of usage: what they are of, and what they hold. Pure."""

from dataclasses import astuple
from datetime import date

from sluice.loading.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SumKey:
    """What a sum is of, beside its tenant and day. What an old sum does not tell is empty."""

    caller: str
    user: str
    hour: int
    operation: str
    provider: str
    model: str
    credential: str
    task: str


@dataclass(frozen=True, slots=True)
class Use:
    """What some requests used. `cost_nanousd` is in billionths of a dollar."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    cache_hits: int = 0
    errors: int = 0
    response_time_ms: int = 0
    infra_nanousd: int = 0
    guard_calls: int = 0
    guard_ms: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class UsageSum:
    """One hour's use of one model by one caller, for one user if `key.user` names one."""

    tenant: str
    day: date
    key: SumKey
    use: Use


@dataclass(frozen=True, slots=True)
class DaySums:
    """All that was asked for of a tenant's day."""

    tenant: str
    day: date
    sums: tuple[UsageSum, ...]
