"""When a limit or a budget runs out if it goes on being used as it is now. Pure.

That is the rate of the last hour, or of the last day for a month's budget, carried on as it is: it knows neither nights
nor weekends. What is expected by the hour of the week is in the daily report (reports/forecast.py).
"""

from sluice.quota.limits import Limit
from sluice.quota.status import QuotaSnapshot, counted_slices
from sluice.quota.windows import RollingWindow

_HOUR_MS = 3_600_000
# In a minute's window the present rate says nothing that the next minute does not.
_SHORTEST_MS = 2 * _HOUR_MS


def runs_out_at_s(used: float, capacity: float, rate_per_s: float, now_s: float, ends_at_s: float) -> int | None:
    """When a window that begins anew at `ends_at_s` has used its capacity, in seconds since 1970.

    It is now if that is used up; None if it lasts until then.
    """
    if used >= capacity:
        return int(now_s)
    if rate_per_s <= 0:
        return None
    at_s = now_s + (capacity - used) / rate_per_s
    return int(at_s) if at_s < ends_at_s else None


def rolling_runs_out_at_s(limit: Limit, seen: QuotaSnapshot, now_ms: int) -> int | None:
    """When a limit over any stretch of a day is used up at the last hour's rate, in seconds since 1970.

    What was taken a day ago leaves meanwhile. None if it is not within a day, or the limit is no such limit.
    """
    window = limit.window
    if not isinstance(window, RollingWindow) or window.period_ms < _SHORTEST_MS:
        return None
    head = seen.item.head(window)
    index = max(window.slice_at(now_ms), head or 0)
    status = seen.status(limit, now_ms)
    if status.used >= status.capacity:
        return now_ms // 1000
    counted = {each: units * seen.shards for each, units in counted_slices(seen.item, limit, index).items()}
    first = window.slice_at(now_ms - _HOUR_MS)
    began_ms = min(first * window.slice_ms, now_ms - _HOUR_MS)
    rate_per_ms = sum(units for each, units in counted.items() if each >= first) / (now_ms - began_ms)
    if rate_per_ms <= 0:
        return None
    at_ms, used = float(now_ms), float(status.used)
    # From one slice's leaving to the next; what is taken from now on leaves after all that counts now.
    for leaving in sorted(counted):
        leaves_at_ms = window.leaves_at_ms(leaving)
        full_at_ms = at_ms + (status.capacity - used) / rate_per_ms
        if full_at_ms < leaves_at_ms:
            return int(full_at_ms // 1000)
        used += rate_per_ms * (leaves_at_ms - at_ms) - counted[leaving]
        at_ms = leaves_at_ms
    return None
