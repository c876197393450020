"""The section that measures insights, and what is said of it elsewhere."""

import random
import re

import pytest

from benchmarks.insights import run
from benchmarks.simulated_series import Pattern, series
from sluice.insights.rates import rates
from tools.processes import ROOT

_ROW = re.compile(r"(?m)^\| `([\w.]+)` \| ([\d.]*) \| [\d,]+ \|$")


def test_a_quick_run_measures_every_rate_that_findings_may_have() -> None:
    assert {name for name, _ in _ROW.findall(run(quick=True))} == rates().keys()


def test_findings_are_as_sure_as_the_page_says_that_was_measured() -> None:
    page = (ROOT / "docs" / "insights.md").read_text()
    assert {name: float(rate) for name, rate in _ROW.findall(page)} == {
        name: rate.value for name, rate in rates().items()
    }


def test_what_is_made_up_has_the_size_the_weekend_and_the_change_that_was_asked_for() -> None:
    made = series(Pattern(level=200), 700, random.Random(1), lambda place: 3.0 if place % 7 == 1 else 1.0)
    by_weekday = [sum(filter(None, made.values[day::7])) / 100 for day in range(7)]
    assert by_weekday == pytest.approx([200, 630, 220, 200, 180, 100, 90], rel=0.1)
