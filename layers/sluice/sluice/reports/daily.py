"""Puts a daily report together. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta

from sluice.catalog.money import to_usd
from sluice.reports.forecast import forecast, past_error_percent
from sluice.reports.local_day import LocalDay
from sluice.reports.material import MEASURES, Histories, Material, Measure, hour_of, moment
from sluice.reports.report import VERSION, DayUsed, Groups, HourUsed, Report, Row, Used
from sluice.reports.standing import month, rounded, standing, unsettled, worst_first
from sluice.usage.sums import UsageSum, Use

_SHOWN_DAYS = 30
_DAYS_AHEAD = 7
_MOST_USERS = 100
_DAY = timedelta(days=1)


def daily_report(material: Material) -> Report:
    """The report."""
    day, groups, histories = material.day, _grouped(material), Histories(material)
    users = groups["users"]
    # What a minute has used says nothing of a day.
    lasting = [each for each in material.counted if not each.limit.name.endswith("_minute")]
    groups["users"] = users[:_MOST_USERS]
    return {
        "object": "report",
        "version": VERSION,
        "tenant": material.tenant,
        "name": material.name,
        "day": day.day.isoformat(),
        "time_zone": day.zone.key,
        "starts_at": moment(day.start),
        "ends_at": moment(day.end),
        "made_at": moment(material.now),
        "totals": _used(_total(_of_day(material, day))),
        "day_before": _used(_total(_of_day(material, day.before))),
        "hours": _hours(material),
        "days": _days(material, histories),
        "day_error_percent": rounded(past_error_percent(histories.of("cost"))),
        "groups": groups,
        "users_left_out": max(0, len(users) - _MOST_USERS),
        "month": month(material, histories),
        "limits": sorted((standing(material, histories, each) for each in lasting), key=worst_first),
        "unsettled": unsettled(material, histories),
    }


def _of_day(material: Material, day: LocalDay) -> list[UsageSum]:
    return [each for each in material.sums if day.start <= hour_of(each) < day.end]


def _total(sums: Iterable[UsageSum]) -> Use:
    return sum((each.use for each in sums), Use())


def _used(use: Use) -> Used:
    return {
        "requests": use.requests,
        "prompt_tokens": use.prompt_tokens,
        "completion_tokens": use.completion_tokens,
        "cost_usd": float(to_usd(use.cost_nanousd)),
        "infra_cost_usd": float(to_usd(use.infra_nanousd)),
        "cache_hits": use.cache_hits,
        "errors": use.errors,
    }


def _grouped(material: Material) -> Groups:
    sums = _of_day(material, material.day)

    def rows(value: Callable[[UsageSum], str], *, named: bool = False) -> list[Row]:
        found: dict[str, Use] = defaultdict(Use)
        for each in sums:
            found[value(each)] += each.use
        ordered = sorted(found.items(), key=lambda row: (-row[1].cost_nanousd, -row[1].requests, row[0]))
        return [{"id": id_, "name": material.names.get(id_) if named else None, **_used(use)} for id_, use in ordered]

    return {
        "providers": rows(lambda each: each.key.provider),
        "credentials": rows(lambda each: each.key.credential),
        "models": rows(lambda each: each.key.model),
        "operations": rows(lambda each: each.key.operation),
        "tasks": rows(lambda each: each.key.task),
        "keys": rows(lambda each: each.key.caller, named=True),
        "users": rows(lambda each: each.key.user),
        "tenants": rows(lambda each: each.tenant, named=True),
    }


def _hours(material: Material) -> list[HourUsed]:
    found: dict[datetime, Use] = defaultdict(Use)
    for each in _of_day(material, material.day):
        found[hour_of(each)] += each.use
    return [
        {
            "hour": moment(hour),
            "local": f"{hour.astimezone(material.day.zone):%H:%M}",
            "requests": found[hour].requests,
            "tokens": found[hour].prompt_tokens + found[hour].completion_tokens,
            "cost_usd": float(to_usd(found[hour].cost_nanousd)),
        }
        for hour in material.day.hours()
    ]


def _days(material: Material, histories: Histories) -> list[DayUsed]:
    zone, last = material.day.zone, material.day.day
    whole = {name: histories.of(name) for name in MEASURES}
    days: list[DayUsed] = []
    for number in range(-_SHOWN_DAYS + 1, 1):
        day = LocalDay(last + number * _DAY, zone)
        used = {name: history.used(day.start, day.end) for name, history in whole.items()}
        days.append(_day_used(day.day, used, is_forecast=False))
    # As of the end of the day, so that the next one is expected as a whole.
    known = {name: history.before(material.day.end) for name, history in whole.items()}
    before = dict.fromkeys(known, 0.0)
    for number in range(1, _DAYS_AHEAD + 1):
        day = LocalDay(last + number * _DAY, zone)
        until = {name: forecast(history, day.end).expected for name, history in known.items()}
        days.append(_day_used(day.day, {name: until[name] - before[name] for name in until}, is_forecast=True))
        before = until
    return days


def _day_used(day: date, used: Mapping[Measure, float], *, is_forecast: bool) -> DayUsed:
    return {
        "day": day.isoformat(),
        "requests": round(used["requests"], 1),
        "tokens": round(used["tokens"], 1),
        "cost_usd": round(used["cost"] / 1e9, 9),
        "is_forecast": is_forecast,
    }
