"""Groups of usage: sums added up by what they are of, as many as one answer holds. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass
from sluice.usage.period import Span
from sluice.usage.sums import DaySums, UsageSum, Use

DIMENSIONS = ("tenant", "key", "user", "operation", "task", "provider", "credential", "model", "day", "hour")
"""What usage is told apart by; a name may be empty."""

MOST_GROUPS = 5_000
"""How many groups one answer may have: with the longest names they still fit."""
MOST_SUMS = 50_000
"""After how many sums an answer takes no further day: reading them takes some seconds."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on: a day of a tenant."""

    tenant: str
    day: date


class Groups:
    """Adds up the sums of a span that match, by some dimensions."""

    def __init__(self, dimensions: Sequence[str], span: Span, wanted: Mapping[str, str]) -> None:
        self._dimensions = dimensions
        self._span = span
        self._wanted = wanted
        self._found: dict[tuple[str, ...], Use] = {}
        self._read = 0

    @property
    def total(self) -> Use:
        """All groups together."""
        return sum(self._found.values(), Use())

    def rows(self) -> list[tuple[tuple[str, ...], Use]]:
        """The groups in order, each with the values of its dimensions."""
        return sorted(self._found.items())

    def collect(self, days: Iterable[DaySums], has_time: Callable[[], bool]) -> Position | None:
        """Add up days until there is no more room or time; returns where to go on, None at the end.

        InvalidRequestError if there is no room for a single day.
        """
        for each in days:
            if self._read >= MOST_SUMS or not has_time():
                return Position(each.tenant, each.day)
            added = self._added(each.sums)
            if len(added.keys() | self._found.keys()) > MOST_GROUPS:
                if not self._found:
                    raise InvalidRequestError(
                        f"group_by: on {each.day} these are {len(added)} groups; at most {MOST_GROUPS} fit. Group by "
                        "less, or filter.",
                        param="group_by",
                    )
                return Position(each.tenant, each.day)
            for values, use in added.items():
                self._found[values] = self._found.get(values, Use()) + use
            self._read += len(each.sums)
        return None

    def _added(self, sums: Iterable[UsageSum]) -> dict[tuple[str, ...], Use]:
        added: dict[tuple[str, ...], Use] = {}
        for each in sums:
            of = _values(each)
            if self._span.covers(each.day, each.key.hour) and all(
                of[name] == value for name, value in self._wanted.items()
            ):
                values = tuple(of[name] for name in self._dimensions)
                added[values] = added.get(values, Use()) + each.use
        return added


def _values(each: UsageSum) -> dict[str, str]:
    """What a sum is of, by dimension."""
    key = each.key
    hour = datetime(each.day.year, each.day.month, each.day.day, key.hour, tzinfo=UTC)
    return {
        "tenant": each.tenant,
        "key": key.caller,
        "user": key.user,
        "operation": key.operation,
        "task": key.task,
        "provider": key.provider,
        "credential": key.credential,
        "model": key.model,
        "day": each.day.isoformat(),
        "hour": hour.isoformat().replace("+00:00", "Z"),
    }
