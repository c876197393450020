from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from sluice.reports import words
from sluice.reports.daily import daily_report
from sluice.reports.page import page
from sluice.reports.report import EVERYBODY
from tests.unit.reports.test_daily import BERLIN, MATERIAL, NOW
from tests.usage_history import budget_of, school_usage

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """The tags of a page, and their attributes; whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def hostile() -> str:
    sums = school_usage(NOW, BERLIN, weeks=1, users=[HOSTILE])
    named = replace(
        MATERIAL,
        name=HOSTILE,
        sums=[replace(each, key=replace(each.key, task=HOSTILE, model=HOSTILE)) for each in sums],
        names={"k1": HOSTILE},
        counted=[
            budget_of("key", 90, name=HOSTILE, tenant="school", caller=HOSTILE),
            budget_of("key", 91, caller=HOSTILE),
        ],
    )
    return page(daily_report(named))


def test_names_are_text_whatever_they_look_like() -> None:
    text = hostile()
    tags = Tags(text)
    assert not {name for name, _ in tags.found} & {"script", "img", "iframe", "link", "object"}
    assert not [each for _, attributes in tags.found for each in attributes if each.startswith("on")]
    assert "".join(tags.text).count(HOSTILE) >= 6


def test_a_page_needs_nothing_but_itself() -> None:
    tags = Tags(page(daily_report(MATERIAL)))
    assert tags.open == []
    assert not [attributes for _, attributes in tags.found if attributes.keys() & {"src", "href", "srcset", "action"}]
    policy = next(each["content"] for name, each in tags.found if each.get("http-equiv") == "content-security-policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page(daily_report(MATERIAL))


def test_charts_say_what_they_show_and_have_tables() -> None:
    tags = Tags(page(daily_report(MATERIAL)))
    charts = [each for name, each in tags.found if name == "svg" and each.get("role") == "img"]
    assert len(charts) == 2
    assert all(each["aria-label"] for each in charts)
    assert [name for name, _ in tags.found].count("details") == 2
    assert {each.get("scope") for name, each in tags.found if name == "th"} <= {"row", "col"}
    assert [name for name, _ in tags.found].count("h1") == 1


def test_what_is_used_up_comes_first_in_words() -> None:
    used_up = page(daily_report(MATERIAL))
    assert "budget of key <bdi>k2</bdi> is used up, and refused until" in used_up
    quiet = replace(MATERIAL, counted=[budget_of("tenant", 1, usd=1_000_000, tenant="school")])
    assert "No limit runs out." in page(daily_report(quiet))
    soon = page(daily_report(replace(MATERIAL, counted=[budget_of("tenant", 79, usd=1, tenant="school")])))
    assert "will be used up about" in soon


def test_a_day_without_anything_has_a_page_and_free_models_have_charts_of_requests() -> None:
    assert "nothing was used" in page(daily_report(replace(MATERIAL, sums=[], counted=[])))
    free = [replace(each, use=replace(each.use, cost_nanousd=0)) for each in MATERIAL.sums]
    assert "Requests by hour: most, " in page(daily_report(replace(MATERIAL, sums=free)))


def test_the_page_of_all_tells_tenants_apart() -> None:
    everybody = replace(MATERIAL, tenant=EVERYBODY, name="All tenants", names={"school": "The school"})
    assert "Tenants" in page(daily_report(everybody))
    assert "Tenants" not in page(daily_report(MATERIAL))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.dollars(0), "$0.00"),
        (words.dollars(0.000001), "<$0.01"),
        (words.dollars(1234.5), "$1,234.50"),
        (words.count(9_600), "9,600"),
        (words.count(188_200), "188 k"),
        (words.count(30_700_000), "30.7 M"),
        (words.percent(99.99), "99 %"),
        (words.percent(0.2), "<1 %"),
        (words.counted(1, "request", "requests"), "1 request"),
        (words.change(150, 100), "50 % more than the day before"),
        (words.change(50, 100), "50 % less than the day before"),
        (words.change(5, 0), "none the day before"),
        (words.change(0, 0), "as the day before"),
        (words.at("2026-12-01T00:00:00Z", BERLIN), "1 Dec, 01:00"),
    ],
)
def test_figures_are_written_as_people_read_them(said: str, expected: str) -> None:
    assert said == expected


def test_hours_are_by_the_clock_of_the_zone() -> None:
    first = daily_report(MATERIAL)["hours"][0]
    assert (first["hour"], first["local"]) == ("2026-11-24T23:00:00Z", "00:00")
    assert MATERIAL.day.end - MATERIAL.day.start == timedelta(days=1)
