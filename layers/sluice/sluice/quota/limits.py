"""What a scope is limited in, and what is said of a limit. Pure."""

from collections.abc import Mapping

from sluice.loading.dataclass import dataclass
from sluice.quota.windows import CALENDAR_DAY, CALENDAR_MONTH, ROLLING_DAY, ROLLING_MINUTE, Window

BUDGET = "nanousd_per_month"

DEPLOYMENT_WINDOWS: Mapping[str, Window] = {
    "requests_per_minute": ROLLING_MINUTE,
    "requests_per_day": ROLLING_DAY,
    "tokens_per_minute": ROLLING_MINUTE,
    "tokens_per_day": ROLLING_DAY,
    "characters_per_month": CALENDAR_MONTH,
}
CALLER_WINDOWS: Mapping[str, Window] = {
    "requests_per_minute": ROLLING_MINUTE,
    "requests_per_day": CALENDAR_DAY,
}

SPEND_WINDOWS: Mapping[str, Window] = {
    "tokens_per_minute": ROLLING_MINUTE,
    "tokens_per_day": ROLLING_DAY,
}

# The attribute that holds what counts of a limit, by the limit's name and its window's letter.
_CODES = {
    ("requests_per_minute", "m"): "r",
    ("tokens_per_minute", "m"): "t",
    ("requests_per_day", "d"): "R",
    ("tokens_per_day", "d"): "T",
    ("requests_per_day", "D"): "D",
    ("characters_per_month", "M"): "c",
    (BUDGET, "M"): "u",
}

# More requests than these no item can take in a minute: DynamoDB does a thousand writes a second to one. Slices are
# packed for fewer.
_MOST_REQUESTS_PER_MINUTE = 99_999

# Denials that no limit is the reason of.
BLOCKED = "blocked_by_provider"
CIRCUIT_OPEN = "circuit_open"


@dataclass(frozen=True, slots=True)
class Limit:
    """`capacity` units over a window. `is_fixed`: somebody set it on purpose, so a provider may only lower it."""

    name: str
    capacity: int
    window: Window
    is_fixed: bool = False

    @property
    def code(self) -> str:
        """The attribute of the scope's item that holds what counts of this limit now."""
        return _CODES[self.name, self.window.letter]

    def capacity_in_force(self, learned: int | None) -> int:
        """The capacity, given what the provider's headers said it is (None: nothing)."""
        if learned is None:
            return self.capacity
        return min(self.capacity, learned) if self.is_fixed else learned


def deployment_limit(name: str, capacity: int, *, is_fixed: bool = False) -> Limit:
    """A limit of a deployment; `name` is one of DEPLOYMENT_WINDOWS."""
    return Limit(name, capacity, DEPLOYMENT_WINDOWS[name], is_fixed)


def caller_limits(requests_per_minute: int, requests_per_day: int) -> tuple[Limit, ...]:
    """The limits of an API key, or of one user of it."""
    return (
        Limit("requests_per_minute", requests_per_minute, CALLER_WINDOWS["requests_per_minute"], is_fixed=True),
        Limit("requests_per_day", requests_per_day, CALLER_WINDOWS["requests_per_day"], is_fixed=True),
    )


def token_limit(name: str, capacity: int) -> Limit:
    """A limit of the tokens of an API key, or of one user of it; `name` is one of SPEND_WINDOWS."""
    return Limit(name, capacity, SPEND_WINDOWS[name], is_fixed=True)


def budget_limit(nanousd: int) -> Limit:
    """A monthly budget, in billionths of a dollar."""
    return Limit(BUDGET, nanousd, CALENDAR_MONTH, is_fixed=True)


def kept_free(capacity: int, percent: int) -> int:
    """How many units of a `capacity` are `percent` of it, rounded up; one is always left to be taken."""
    return max(0, min(-(-capacity * percent // 100), capacity - 1))


def share(limit: Limit, capacity: int, shard: int, shards: int) -> int:
    """What shard number `shard` of `shards` has of a `capacity`; all shares together are no more than that.

    A share never shrinks when the capacity grows, so that parts of what is used fit the parts of what may be used.
    """
    part = capacity // shards + (shard < capacity % shards)
    return min(part, _MOST_REQUESTS_PER_MINUTE) if limit.code == "r" else part


@dataclass(frozen=True, slots=True)
class Denial:
    """The cost does not fit. `retry_after_ms` is until it will if nobody takes more, None if it never can."""

    limit: str
    retry_after_ms: int | None


def longest(denials: list[Denial]) -> Denial:
    """The denial that keeps the caller waiting longest."""
    return max(denials, key=_wait_ms)


def shortest(denials: list[Denial]) -> Denial:
    """The denial that is over first."""
    return min(denials, key=_wait_ms)


def _wait_ms(denial: Denial) -> float:
    return float("inf") if denial.retry_after_ms is None else denial.retry_after_ms


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """How much of one limit is used: what headers, scores and reports speak of."""

    name: str
    capacity: int
    used: int
    resets_in_ms: int

    @property
    def remaining(self) -> int:
        """What is left, never negative."""
        return max(self.capacity - self.used, 0)
