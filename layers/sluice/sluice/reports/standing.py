"""How limits stand, and what is expected of the ends of their windows. Pure."""

from datetime import UTC, datetime, time, timedelta

from sluice.catalog.money import to_usd
from sluice.quota.limits import BUDGET, Limit, LimitStatus
from sluice.quota.status import reached_percentage
from sluice.quota.windows import CalendarWindow
from sluice.reports.forecast import Forecast, History, forecast, past_error_percent
from sluice.reports.material import Counted, Histories, Material, Measure, moment, month_of
from sluice.reports.report import Level, Month, Outlook, Standing, Unit, Unsettled

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MOST_DAYS = 7


def standing(material: Material, histories: Histories, each: Counted) -> Standing:
    """How one limit stands."""
    limit, status = each.limit, each.status
    divisor = 1e9 if limit.name == BUDGET else 1
    turns_at = material.now + timedelta(milliseconds=status.resets_in_ms)
    return {
        "of": each.of,
        "id": each.id,
        "name": each.name,
        "limit": "budget_usd_per_month" if limit.name == BUDGET else limit.name,
        "unit": unit_of(limit),
        "capacity": status.capacity / divisor,
        "used": status.used / divisor,
        "percentage": percentage_of(status),
        "level": level_of(status),
        "turns_at": moment(turns_at) if status.used else None,
        "outlook": _outlook_of(material, histories, each, divisor),
    }


def month(material: Material, histories: Histories) -> Month:
    """What the UTC month costs."""
    # Of the report's day: on the last of a month it is made in the next one.
    start, end = month_of(material.day.end - _HOUR)
    history = histories.of("cost")
    so_far = history.used(start, min(end, history.until))
    expected = forecast(history, max(end, history.until), used=so_far)
    return {
        "month": f"{start:%Y-%m}",
        "so_far_usd": float(to_usd(so_far)),
        "outlook": _outlook(expected, None, past_error_percent(history, _days_left(history, end)), divisor=1e9),
    }


def unsettled(material: Material, histories: Histories) -> list[Unsettled]:
    """What budgets count beyond what was recorded. What is recorded beyond that is of before there was one."""
    start, _ = month_of(material.now)
    found: list[Unsettled] = []
    for each in material.counted:
        if each.limit.name != BUDGET or each.of not in {"tenant", "key"}:
            continue
        recorded = histories.cost_nanousd(each.selects, start)
        beyond = each.status.used - recorded
        if beyond > 0:
            found.append(
                {
                    "of": "tenant" if each.of == "tenant" else "key",
                    "id": each.id,
                    "counted_usd": float(to_usd(each.status.used)),
                    "recorded_usd": float(to_usd(recorded)),
                    "beyond_usd": float(to_usd(beyond)),
                }
            )
    return found


def unit_of(limit: Limit) -> Unit:
    """What a limit counts."""
    if limit.name == BUDGET:
        return "usd"
    for unit in ("requests", "tokens"):
        if limit.name.startswith(unit):
            return unit
    return "characters"


def percentage_of(status: LimitStatus) -> float:
    """How much is used; of a limit of nothing, all."""
    return round(100 * status.used / status.capacity, 1) if status.capacity else 100.0


def level_of(status: LimitStatus) -> Level:
    """How near a limit is to its end."""
    if status.used >= status.capacity:
        return "used up"
    reached = reached_percentage(status)
    return "fine" if reached is None else "over 90 %" if reached >= 90 else "over 80 %"


def worst_first(standing: Standing) -> tuple[float, float, str, str]:
    """What limits are ordered by: the one that is most used comes first."""
    outlook = standing["outlook"]
    return (
        -standing["percentage"],
        -(outlook["percentage"] or 0) if outlook else 0,
        standing["id"],
        standing["limit"],
    )


def _outlook_of(material: Material, histories: Histories, each: Counted, divisor: float) -> Outlook | None:
    """What is expected at the end of a limit's window: of a month, of a UTC day, or of the next 24 hours."""
    measure = _measure(each.limit)
    if measure is None or each.limit.name.endswith("_minute"):
        return None
    history = histories.of(measure, each.selects)
    window, used = each.limit.window, each.status.used
    if not isinstance(window, CalendarWindow):
        # What counts now leaves hour by hour: in 24 hours nothing of it does.
        end, used = history.until + _DAY, 0
    elif window.unit == "month":
        _, end = month_of(material.now)
    else:
        end = datetime.combine(material.now.astimezone(UTC).date() + _DAY, time.min, UTC)
    expected = forecast(history, end, used=used, capacity=each.status.capacity)
    error = past_error_percent(history, _days_left(history, end))
    return _outlook(expected, each.status.capacity, error, divisor=divisor)


def _measure(limit: Limit) -> Measure | None:
    return {"usd": "cost", "requests": "requests", "tokens": "tokens", "characters": None}[unit_of(limit)]


def _days_left(history: History, end: datetime) -> int:
    """How far ahead a forecast is, in days, as far as the past can tell."""
    return min(_MOST_DAYS, max(1, -(-(end - history.until) // _DAY)))


def _outlook(expected: Forecast, capacity: int | None, error: float | None, *, divisor: float) -> Outlook:
    return {
        "until": moment(expected.end),
        "total": round(expected.total / divisor, 9),
        "percentage": round(100 * expected.total / capacity, 1) if capacity else None,
        "used_up_at": None if expected.exceeds_at is None else moment(expected.exceeds_at),
        "method": expected.method,
        "past_error_percent": rounded(error),
    }


def rounded(value: float | None) -> float | None:
    """To a tenth."""
    return None if value is None else round(value, 1)
