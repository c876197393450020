"""The daily report as one HTML page: no scripts, nothing from a network, everything that is a name escaped. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC
from functools import cache
from html import escape
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from sluice.reports import words
from sluice.reports.charts import Bar, bar_chart, quota_bar
from sluice.reports.forecast import Method
from sluice.reports.report import EVERYBODY, Level, Report, Row, Standing, Used

_MOST_LIMITS = 40
_MOST_ROWS = 25
_MARKS: dict[Level, tuple[str, str]] = {
    "fine": ("ok", "●"),
    "over 80 %": ("warn", "▲"),
    "over 90 %": ("warn", "▲"),
    "used up": ("bad", "■"),
}
_LIMITS = {
    "requests_per_day": "The day's requests",
    "tokens_per_day": "The day's tokens",
    "characters_per_month": "The month's characters",
    "budget_usd_per_month": "The month's budget",
}
_METHODS: dict[Method, str] = {
    "hour of week": "from the same hours of the weeks before",
    "hour of day": "from the same hours of the days before",
    "mean": "from the mean of all hours before",
    "none": "from nothing yet",
}
type _Group = Literal["tenants", "models", "providers", "credentials", "keys", "users", "tasks", "operations"]
_GROUPS: tuple[tuple[_Group, str, str], ...] = (
    ("tenants", "Tenants", "Tenant"),
    ("models", "Models", "Model"),
    ("providers", "Providers", "Provider"),
    ("credentials", "Credentials", "Credential"),
    ("keys", "API keys", "Key"),
    ("users", "Users", "User"),
    ("tasks", "Tasks", "Task"),
    ("operations", "Operations", "Operation"),
)
_NAMELESS = {"users": "no user named", "tasks": "no task", "providers": "no provider", "credentials": "no credential"}
# Nothing is fetched and nothing is run, whatever a name in it looks like.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(report: Report) -> str:
    """The page."""
    title = f"{report['name']}, {words.long_day(report['day'])}"
    parts = (
        _head(report),
        _figures(report),
        _hours(report),
        _days(report),
        _limits(report),
        _groups(report),
        _unsettled(report),
        _foot(report),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="content-security-policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{_style()}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


@cache
def _style() -> str:
    return Path(__file__).with_name("page.css").read_text()


def _head(report: Report) -> str:
    level, mark = _MARKS[_worst(report["limits"])]
    hours = len(report["hours"])
    return (
        f"<header><h1><bdi>{escape(report['name'])}</bdi></h1>"
        f'<p class="quiet">{words.long_day(report["day"])} · {hours} hours in {escape(report["time_zone"])}</p>'
        f'<p class="verdict {level}"><span class="mark {level}" aria-hidden="true">{mark}</span> '
        f"{_verdict(report)}</p></header>"
    )


def _verdict(report: Report) -> str:
    """The sentence that says what matters."""
    totals = report["totals"]
    requests = words.counted(totals["requests"], "request", "requests")
    said = f"{requests} for {words.dollars(totals['cost_usd'])}"
    worst = next((each for each in report["limits"] if each["level"] != "fine"), None)
    zone = _zone(report)
    if worst is None:
        soon = min(
            (each for each in report["limits"] if each["outlook"] and each["outlook"]["used_up_at"]),
            key=lambda each: str(each["outlook"] and each["outlook"]["used_up_at"]),
            default=None,
        )
        if soon is None or soon["outlook"] is None:
            return f"{said}. No limit runs out."
        when = words.at(soon["outlook"]["used_up_at"] or "", zone)
        return f"{said}. {_LIMITS[soon['limit']]} of {_whose(soon)} will be used up about {when}."
    what = f"{_LIMITS[worst['limit']]} of {_whose(worst)}"
    if worst["level"] == "used up":
        until = f" until {words.at(worst['turns_at'], zone)} at the latest" if worst["turns_at"] else ""
        return f"{said}. {what} is used up, and refused{until}."
    return f"{said}. {what}: {words.percent(worst['percentage'])} is used."


def _figures(report: Report) -> str:
    now, before = report["totals"], report["day_before"]
    tokens = now["prompt_tokens"] + now["completion_tokens"]
    shown = (
        ("Cost", words.dollars(now["cost_usd"]), words.change(now["cost_usd"], before["cost_usd"])),
        ("Requests", words.count(now["requests"]), words.change(now["requests"], before["requests"])),
        (
            "Tokens",
            words.count(tokens),
            words.change(tokens, before["prompt_tokens"] + before["completion_tokens"]),
        ),
        (
            "Failed",
            words.count(now["errors"]),
            f"{words.counted(now['cache_hits'], 'answer', 'answers')} from the cache",
        ),
    )
    cells = "".join(
        f'<div class="panel"><dt>{name}</dt><dd class="value">{value}</dd><dd class="than">{than}</dd></div>'
        for name, value, than in shown
    )
    month = report["month"]
    outlook = month["outlook"]
    error = _error(outlook["past_error_percent"])
    return (
        f'<section aria-label="Figures"><dl class="figures">{cells}</dl>'
        f'<p class="note">{escape(month["month"])}, UTC: {words.dollars(month["so_far_usd"])} so far, '
        f"{words.dollars(outlook['total'])} expected at its end, {_METHODS[outlook['method']]}; {error}.</p></section>"
    )


def _error(value: float | None) -> str:
    if value is None:
        return "there is too little to say how exact that is"
    return f"such forecasts were {words.percent(value)} off lately"


def _hours(report: Report) -> str:
    hours = report["hours"]
    costs = any(hour["cost_usd"] for hour in hours)
    bars = [
        Bar(
            hour["local"],
            hour["cost_usd"] if costs else hour["requests"],
            words.dollars(hour["cost_usd"]) if costs else words.counted(hour["requests"], "request", "requests"),
            hour["local"] if number % 6 == 0 else "",
        )
        for number, hour in enumerate(hours)
    ]
    return _chart("By hour", bars, costs=costs, head="Hour")


def _days(report: Report) -> str:
    days = report["days"]
    costs = any(day["cost_usd"] for day in days)
    bars = [
        Bar(
            words.short_day(day["day"]),
            day["cost_usd"] if costs else day["requests"],
            words.dollars(day["cost_usd"]) if costs else f"{words.count(day['requests'])} requests",
            words.short_day(day["day"]) if number % 8 == 0 else "",
            is_expected=day["is_forecast"],
        )
        for number, day in enumerate(days)
    ]
    note = (
        '<p class="note"><span class="key"></span> used <span class="key expected"></span> expected; '
        f"of a day's cost, {_error(report['day_error_percent'])}.</p>"
    )
    return _chart("Thirty days, and the next seven", bars, costs=costs, head="Day", note=note)


def _chart(title: str, bars: Sequence[Bar], *, costs: bool, head: str, note: str = "") -> str:
    unit = "Cost" if costs else "Requests"
    most = max(bars, key=lambda bar: bar.value)
    says = f"{unit} {title.lower()}: most, {most.words}, at {most.of}." if most.value else f"{title}: nothing was used."
    chart = bar_chart(bars, says=says, unit=unit, head=head)
    return f'<section><h2>{title}</h2><div class="panel">{chart}{note}</div></section>'


def _limits(report: Report) -> str:
    limits = report["limits"]
    if not limits:
        return '<section><h2>Limits and budgets</h2><p class="panel">There are none.</p></section>'
    rows = "".join(_limit(each, _zone(report)) for each in limits[:_MOST_LIMITS])
    left = len(limits) - _MOST_LIMITS
    note = f'<p class="note">{left:,} more are used less; the JSON has them.</p>' if left > 0 else ""
    return (
        '<section><h2>Limits and budgets</h2><div class="panel scroll"><table><thead><tr><th scope="col">Whose</th>'
        '<th scope="col" class="long">Used</th><th scope="col">Of</th>'
        '<th scope="col" class="wide">Expected</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{note}</div></section>"
    )


def _limit(each: Standing, zone: ZoneInfo) -> str:
    level, mark = _MARKS[each["level"]]
    outlook = each["outlook"]
    expected = "not known"
    if outlook is not None:
        end = words.at(outlook["until"], zone)
        error = outlook["past_error_percent"]
        usually = "" if error is None else f"; {words.percent(error)} off lately"
        expected = f"{_amount(each, outlook['total'])}<small>by {end}{usually}</small>"
        if outlook["used_up_at"] and each["level"] != "used up":
            expected += f"<small>used up about {words.at(outlook['used_up_at'], zone)}</small>"
    turns = f"<small>free by {words.at(each['turns_at'], zone)}</small>" if each["turns_at"] else ""
    state = "" if each["level"] == "fine" else f", {each['level']}"
    return (
        f'<tr><th scope="row">{_whose(each)}<small>{_LIMITS[each["limit"]]}</small></th>'
        f'<td class="long">{quota_bar(each["percentage"], level)}'
        f'<span class="mark {level}" aria-hidden="true">{mark}</span> {words.percent(each["percentage"])}, '
        f"{_amount(each, each['used'])}{state}{turns}</td>"
        f'<td>{_amount(each, each["capacity"])}</td><td class="wide">{expected}</td></tr>'
    )


def _whose(each: Standing) -> str:
    name = f"<bdi>{escape(each['id'])}</bdi>"
    if each["name"]:
        name = f"<bdi>{escape(each['name'])}</bdi>" if each["of"] != "user" else name
    return f"{each['of']} {name}"


def _amount(each: Standing, value: float) -> str:
    return words.dollars(value) if each["unit"] == "usd" else words.count(value)


def _groups(report: Report) -> str:
    panels = []
    for name, title, one in _GROUPS:
        rows = report["groups"][name]
        # Of one tenant's report, that is itself; nothing is told by who is nameless throughout.
        if (name == "tenants" and report["tenant"] != EVERYBODY) or not any(row["id"] for row in rows):
            continue
        left = max(0, len(rows) - _MOST_ROWS) + (report["users_left_out"] if name == "users" else 0)
        panels.append(_table(title, one, rows[:_MOST_ROWS], _NAMELESS.get(name, "none"), left))
    if not panels:
        return ""
    return f'<section><h2>Who and what used it</h2><div class="groups">{"".join(panels)}</div></section>'


def _table(title: str, one: str, rows: Iterable[Row], nameless: str, left: int) -> str:
    lines = "".join(
        f'<tr><th scope="row">{_row_name(row, nameless)}</th><td>{words.count(row["requests"])}</td>'
        f"<td>{words.count(_tokens(row))}</td><td>{words.dollars(row['cost_usd'])}</td></tr>"
        for row in rows
    )
    note = f'<p class="note">{left:,} more used less.</p>' if left else ""
    return (
        f'<div class="panel scroll"><table><caption>{title}</caption><thead><tr>'
        f'<th scope="col">{one}</th><th scope="col">Requests</th><th scope="col">Tokens</th>'
        f'<th scope="col">Cost</th></tr></thead><tbody>{lines}</tbody></table>{note}</div>'
    )


def _row_name(row: Row, nameless: str) -> str:
    if not row["id"]:
        return f'<span class="quiet">{nameless}</span>'
    if row["name"]:
        return f"<bdi>{escape(row['name'])}</bdi><small><bdi>{escape(row['id'])}</bdi></small>"
    return f"<bdi>{escape(row['id'])}</bdi>"


def _tokens(used: Used) -> int:
    return used["prompt_tokens"] + used["completion_tokens"]


def _unsettled(report: Report) -> str:
    if not report["unsettled"]:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{each["of"]} <bdi>{escape(each["id"])}</bdi></th>'
        f"<td>{words.dollars(each['counted_usd'])}</td><td>{words.dollars(each['recorded_usd'])}</td><td>{words.dollars(each['beyond_usd'])}</td></tr>"
        for each in report["unsettled"]
    )
    return (
        '<section><h2>Counted, and not recorded</h2><div class="panel scroll"><table><thead><tr>'
        '<th scope="col">Budget of</th><th scope="col">Counted</th><th scope="col">Recorded</th>'
        f'<th scope="col">Beyond</th></tr></thead><tbody>{rows}</tbody></table>'
        '<p class="note">Reserved for requests under way, or for some whose process died or whose provider never '
        "answered, and may have billed. It counts until the month turns.</p></div></section>"
    )


def _foot(report: Report) -> str:
    made = words.at(report["made_at"], UTC)
    return (
        f"<footer><p>Made {made} UTC by Sluice. Limits are as of then; what was used is of the day. "
        f"AWS billed about {words.dollars(report['totals']['infra_cost_usd'])} for the day's requests.</p></footer>"
    )


def _worst(limits: Sequence[Standing]) -> Level:
    order: tuple[Level, ...] = ("used up", "over 90 %", "over 80 %", "fine")
    found = {each["level"] for each in limits}
    return next((level for level in order if level in found), "fine")


def _zone(report: Report) -> ZoneInfo:
    return ZoneInfo(report["time_zone"])
