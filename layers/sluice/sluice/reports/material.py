"""What a report is made of, and what can be said of it by itself. Pure."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from sluice.loading.dataclass import dataclass
from sluice.quota.limits import Limit, LimitStatus
from sluice.reports.forecast import History
from sluice.reports.local_day import LocalDay
from sluice.usage.sums import UsageSum, Use

HISTORY_DAYS = 36
"""How many days before now a report looks at: a month, and what its first forecasts take."""
_ALL: Mapping[str, str] = {}

type Measure = Literal["requests", "tokens", "cost"]
type _Selected = tuple[tuple[str, str], ...]
type Of = Literal["tenant", "key", "user", "deployment"]

MEASURES: Mapping[Measure, Callable[[Use], int]] = {
    "requests": lambda use: use.requests,
    "tokens": lambda use: use.prompt_tokens + use.completion_tokens,
    "cost": lambda use: use.cost_nanousd,
}
"""What is forecast: requests, tokens, and billionths of a dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How one limit stands.

    `selects` says which sums count towards it, by `tenant` and by the attributes of their keys.
    """

    of: Of
    id: str
    name: str | None
    limit: Limit
    status: LimitStatus
    selects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a report is made of: whose, which day, what was used until `now`, and how limits stood before that was read.

    `names` are of keys and tenants, by their ids.
    """

    tenant: str
    name: str
    day: LocalDay
    now: datetime
    sums: Sequence[UsageSum]
    counted: Sequence[Counted]
    names: Mapping[str, str]


def hour_of(each: UsageSum) -> datetime:
    """The hour that a sum is of."""
    return datetime.combine(each.day, time(each.key.hour), UTC)


class Histories:
    """What was used by hour, of all that a report forecasts: found in one pass, since there may be many sums."""

    def __init__(self, material: Material) -> None:
        self._until = material.now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        self._zone = material.day.zone
        self._found: dict[_Selected, dict[Measure, dict[datetime, int]]] = {
            _selected(selects): {measure: defaultdict(int) for measure in MEASURES}
            for selects in (_ALL, *(each.selects for each in material.counted))
        }
        shapes = {tuple(name for name, _ in selected) for selected in self._found}
        for each in material.sums:
            hour, used = hour_of(each), {measure: count(each.use) for measure, count in MEASURES.items()}
            for shape in shapes:
                selected = tuple((name, each.tenant if name == "tenant" else getattr(each.key, name)) for name in shape)
                if selected in self._found:
                    for measure, by_hour in self._found[selected].items():
                        by_hour[hour] += used[measure]

    def of(self, measure: Measure, selects: Mapping[str, str] = _ALL) -> History:
        """What was used of a measure, up to the last hour that is over."""
        found = self._found[_selected(selects)][measure]
        by_hour = {hour: used for hour, used in found.items() if hour < self._until}
        return History(by_hour, self._until, self._zone)

    def cost_nanousd(self, selects: Mapping[str, str], since: datetime) -> int:
        """What was recorded to cost, up to now."""
        return sum(used for hour, used in self._found[_selected(selects)]["cost"].items() if hour >= since)


def _selected(selects: Mapping[str, str]) -> "_Selected":
    return tuple(sorted(selects.items()))


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """The beginning and the end of the UTC month."""
    start = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, (start + timedelta(days=32)).replace(day=1)


def moment(at: datetime) -> str:
    """A moment in ISO 8601."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
