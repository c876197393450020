"""Insights: how often findings are wrong, what is found of what is there, and what forecasts cover.

Nothing is measured of a machine: series are made up, with known changes in them, and judged by the code that judges
tenants' series. What is printed last are the rates that shared/insights.toml says findings are as sure as.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from statistics import fmean, stdev

from benchmarks.section import main
from benchmarks.simulated_series import Pattern, drawn, series
from sluice.insights.anomalies import LISTED, TOLD, Judgement, is_told, judgement, rate_of
from sluice.insights.baseline import Baseline
from sluice.insights.forecasting import forecast
from sluice.insights.ratios import DROP, dropped, risen
from sluice.insights.series import PACES, Interval, Series
from sluice.insights.trends import trends

_SEED = 20_261_126
_MONTH = 30
_WEEKS = 12
_FACTORS = (0.0, 0.3, 0.5, 1.5, 2.0, 3.0)
_INTERVALS: tuple[Interval, ...] = ("hour", "day", "week", "step")
# Of so many buckets one is unusual, where it is measured how many findings are real.
_UNUSUAL = {"hour": 100, "day": 50, "week": 50, "step": 50}
_SERIES = {"hour": 1_500, "day": 6_000, "week": 4_000, "step": 4_000}
_SHOWN = (
    ("200 a day, nothing but chance", Pattern(level=200, noise=0)),
    ("20 a day, noise of 10 %", Pattern(level=20)),
    ("200 a day, noise of 10 %", Pattern(level=200)),
    ("2,000 a day, noise of 10 %", Pattern(level=2_000)),
    ("200 a day, noise of 20 %", Pattern(level=200, noise=0.2)),
    ("200 a day, noise of 10 %, drift of 2 % a day", Pattern(level=200, drift=0.02)),
    ("costs of 200 requests a day, noise of 10 %", Pattern(level=200, measured="amount")),
    ("200 a day, noise of 10 %, a holiday a month", Pattern(level=200, holidays=1 / 30)),
)

type _Rule = Callable[[Series, int], bool]


def run(*, quick: bool) -> str:
    """The tables, as Markdown."""
    rng = random.Random(_SEED)
    less = 500 if quick else 1
    rates: dict[str, tuple[int, int]] = {}
    for interval in _INTERVALS:
        rates |= _precision(interval, rng, max(3, _SERIES[interval] // less))
        rates |= _coverage(interval, rng, max(1, (40 if interval == "hour" else 500) // less))
    rates |= _trend_precision(rng, 5_000 // less) | _ratio_precision(rng, 20_000 // less)
    parts = [
        "False alarms in a month of a daily series in which nothing happens:",
        _false_alarms(rng, max(1, 300 // less)),
        "Found, and told of unasked, of days that were so many times as much as usual:",
        _detection(rng, max(1, 200 // less)),
        "Trends, of twelve weekly sums:",
        _trends_found(rng, max(1, 200 // less)),
        "Of findings in a mixture of such series, so many were real; of buckets that came after forecasts, so many "
        "were in the interval (one is added to either side, so that no rate is 0 or 1):",
        _rates(rates),
    ]
    return "\n\n".join(parts)


def _false_alarms(rng: random.Random, months: int) -> str:
    rules: dict[str, _Rule] = {"under 70 % of the mean": _is_dropped, "mean ± 2 deviations": _is_outside}
    titles = [*rules, f"z beyond {LISTED:g}, listed", f"z beyond {TOLD:g}", "told unasked"]
    rows = []
    for title, pattern in _SHOWN:
        found = Counter[str]()
        for _ in range(months):
            usual = series(pattern, PACES["day"].window + _MONTH, rng)
            for place in range(PACES["day"].window, len(usual.values)):
                found.update(name for name, rule in rules.items() if rule(usual, place))
            found.update(_alarms(usual, titles))
        rows.append([title, *(f"{found[name] / months:.2f}" for name in titles)])
    return _table(["a series of", *titles], rows)


def _alarms(usual: Series, titles: list[str]) -> Iterator[str]:
    baseline, before = Baseline(usual), None
    for place in range(PACES["day"].window, len(usual.values)):
        found = judgement(usual, baseline, place)
        if found is not None:
            met = (abs(found.z) > LISTED, abs(found.z) > TOLD, is_told(usual, found, before))
            yield from (title for title, is_met in zip(titles[-3:], met, strict=True) if is_met)
        before = found


def _is_dropped(usual: Series, place: int) -> bool:
    return _known(usual, place)[-1] < DROP * fmean(_known(usual, place)[:-1])


def _is_outside(usual: Series, place: int) -> bool:
    *past, value = _known(usual, place)
    return abs(value - fmean(past)) > 2 * stdev(past)


def _known(usual: Series, place: int) -> list[float]:
    return [value for value in usual.values[place - 28 : place + 1] if value is not None]


def _detection(rng: random.Random, times: int) -> str:
    rows = []
    last = PACES["day"].window
    for title, pattern in _SHOWN:
        row = [title]
        for factor in _FACTORS:
            found = [_judged_last(pattern, rng, factor, last) for _ in range(times)]
            listed = sum(each is not None and abs(each[1].z) > LISTED for each in found)
            told = sum(each is not None and is_told(each[0], each[1], None) for each in found)
            row.append(f"{100 * listed / times:.0f} / {100 * told / times:.0f} %")
        rows.append(row)
    return _table(["a series of", *(f"{factor:g} times" for factor in _FACTORS)], rows)


def _judged_last(pattern: Pattern, rng: random.Random, factor: float, last: int) -> tuple[Series, Judgement] | None:
    made = series(pattern, last + 1, rng, lambda place: factor if place == last else 1.0)
    found = judgement(made, Baseline(made), last)
    return None if found is None else (made, found)


def _trends_found(rng: random.Random, times: int) -> str:
    growths = (0.0, 0.01, 0.02, 0.05)
    rows = []
    for title, pattern in _SHOWN:
        row = [title]
        for growth in growths:
            made = (series(pattern, 7 * _WEEKS, rng, _growing(growth)) for _ in range(times))
            row.append(f"{100 * sum(bool(trends(each, _WEEKS)) for each in made) / times:.0f} %")
        rows.append(row)
    return _table(["a series of", *(f"{100 * growth:+.0f} % a week" for growth in growths)], rows)


def _growing(growth: float) -> Callable[[int], float]:
    return lambda place: (1 + growth) ** (place / 7)


def _by_place(factors: Mapping[int, float]) -> Callable[[int], float]:
    return lambda place: factors.get(place, 1.0)


def _precision(interval: Interval, rng: random.Random, count: int) -> dict[str, tuple[int, int]]:
    """By how far from usual: how many buckets were found, and how many of them were made to be unusual."""
    pace, found = PACES[interval], Counter[tuple[str, bool]]()
    judged = pace.judged if interval == "hour" else 14
    for _ in range(count):
        length = pace.window + judged
        unusual = {place: rng.choice(_FACTORS) for place in range(length) if not rng.randrange(_UNUSUAL[interval])}
        made = series(_mixed(interval, rng), length, rng, _by_place(unusual))
        baseline = Baseline(made)
        for place in range(pace.window, length):
            each = judgement(made, baseline, place)
            if each is not None and abs(each.z) > LISTED:
                found[rate_of(made, each.z), place in unusual] += 1
    names = [f"anomaly.{interval}.{size}" for size in (4, 5, 7)]
    return {name: (found[name, True], found[name, True] + found[name, False]) for name in names}


def _coverage(interval: Interval, rng: random.Random, count: int) -> dict[str, tuple[int, int]]:
    pace, covered, of = PACES[interval], 0, 0
    for _ in range(count):
        whole = series(_mixed(interval, rng), pace.window + pace.tested + pace.ahead, rng)
        known = len(whole.values) - pace.ahead
        past = replace(whole, values=whole.values[:known], starts=whole.starts[:known])
        expected = forecast(past, Baseline(past))
        for point, value in zip(expected.points if expected else (), whole.values[known:], strict=False):
            covered += (point.low or 0.0) <= (value or 0.0) <= (point.high or 0.0)
            of += 1
    return {f"forecast.{interval}": (covered, of)}


def _mixed(interval: Interval, rng: random.Random) -> Pattern:
    """A pattern of any size and noise, without holidays: a day of half of what is usual is unusual."""
    return Pattern(
        level=rng.choice((20, 200, 2_000)),
        noise=rng.choice((0.0, 0.1, 0.2)),
        drift=rng.choice((0.0, 0.01)) if interval == "day" else 0.0,
        measured=rng.choice(("count", "amount")),
        interval=interval,
    )


def _trend_precision(rng: random.Random, count: int) -> dict[str, tuple[int, int]]:
    """One of four series grows or shrinks by 1 to 5 % a week."""
    found = Counter[tuple[str, bool]]()
    for _ in range(count):
        is_real = not rng.randrange(4)
        growth = rng.choice((-1, 1)) * rng.uniform(0.01, 0.05) if is_real else 0.0
        made = series(_mixed("day", rng), 7 * _WEEKS, rng, _growing(growth))
        for each in trends(made, _WEEKS):
            found[each.rate, is_real and (each.direction == "up") == (growth > 0)] += 1
    names = ("trend.0.01", "trend.0.001")
    return {name: (found[name, True], found[name, True] + found[name, False]) for name in names}


def _ratio_precision(rng: random.Random, count: int) -> dict[str, tuple[int, int]]:
    """One of ten values is really 30 to 70 % lower, or rises really by 30 to 100 % over its four values."""
    found = Counter[tuple[str, bool]]()
    for _ in range(count):
        level, is_real = rng.choice((5, 20, 100)), not rng.randrange(10)
        now = level * (rng.uniform(0.3, 0.7) if is_real else 1.0)
        [current] = drawn([now * _noise(rng)], rng)
        if dropped("made_up", current, float(level)) is not None:
            found["ratio.drop", is_real] += 1
        rise = rng.uniform(0.3, 1.0) if is_real else 0.0
        values = drawn([level * (1 + rise * step / 3) * _noise(rng) for step in range(4)], rng)
        if sum(values[:2]) > 0 and risen("made_up", values) is not None:
            found["ratio.rise", is_real] += 1
    names = ("ratio.drop", "ratio.rise")
    return {name: (found[name, True], found[name, True] + found[name, False]) for name in names}


def _noise(rng: random.Random) -> float:
    return max(0.0, 1 + rng.gauss(0, 0.1))


def _rates(rates: dict[str, tuple[int, int]]) -> str:
    # By Laplace's rule of succession: so many without an exception do not make one impossible.
    rows = [[f"`{name}`", f"{(real + 1) / (of + 2):.3f}", f"{of:,}"] for name, (real, of) in rates.items()]
    return _table(["rate", "measured", "of"], rows)


def _table(titles: list[str], rows: list[list[str]]) -> str:
    head = ["| " + " | ".join(titles) + " |", "| --- |" + " ---: |" * (len(titles) - 1)]
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in rows)])


if __name__ == "__main__":
    main(run)
