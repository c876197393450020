from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequestError
from sluice.usage import grouping
from sluice.usage.grouping import DIMENSIONS, Groups, Position
from sluice.usage.period import Span
from sluice.usage.sums import DaySums, SumKey, UsageSum, Use

DAY = date(2026, 11, 21)
SPAN = Span.of_days(DAY, DAY + timedelta(days=3))

letters = st.sampled_from("ab")
keys = st.builds(
    SumKey,
    caller=letters,
    user=letters,
    hour=st.integers(0, 23),
    operation=letters,
    provider=letters,
    model=letters,
    credential=letters,
    task=letters,
)
uses = st.builds(Use, requests=st.integers(0, 9), cost_nanousd=st.integers(0, 10**15), errors=st.integers(0, 3))
sums = st.lists(st.builds(UsageSum, letters, st.integers(0, 3).map(lambda n: DAY + timedelta(days=n)), keys, uses))


def by_day(found: list[UsageSum]) -> Iterator[DaySums]:
    for tenant in "ab":
        for day in SPAN.days:
            yield DaySums(tenant, day, tuple(each for each in found if (each.tenant, each.day) == (tenant, day)))


def always() -> bool:
    return True


def total(found: list[UsageSum]) -> Use:
    return sum((each.use for each in found), Use())


@given(sums, st.lists(st.sampled_from(DIMENSIONS), unique=True))
def test_costs_add_up_to_the_nanodollar_by_whatever_they_are_grouped(found: list[UsageSum], by: list[str]) -> None:
    groups = Groups(by, SPAN, {})
    assert groups.collect(by_day(found), always) is None
    assert groups.total == total(found)
    assert sum((use for _, use in groups.rows()), Use()) == total(found)
    assert len({values for values, _ in groups.rows()}) == len(groups.rows())


@given(sums, st.integers(0, 96))
def test_ranges_that_follow_one_another_add_up(found: list[UsageSum], hours: int) -> None:
    middle = SPAN.start + timedelta(hours=hours)
    parts = []
    for span in (Span(SPAN.start, middle), Span(middle, SPAN.end)):
        groups = Groups(["model"], span, {})
        groups.collect(by_day(found), always)
        parts.append(groups.total)
    assert parts[0] + parts[1] == total(found)


@given(sums, st.dictionaries(st.sampled_from(DIMENSIONS[1:8]), letters))
def test_what_matches_and_what_does_not_add_up(found: list[UsageSum], wanted: dict[str, str]) -> None:
    groups = Groups(list(wanted), SPAN, wanted)
    groups.collect(by_day(found), always)
    everything = Groups(list(wanted), SPAN, {})
    everything.collect(by_day(found), always)
    assert groups.rows() == [row for row in everything.rows() if row[0] == tuple(wanted.values())]


@given(sums, st.integers(1, 5), st.integers(0, 3))
def test_pages_add_up(found: list[UsageSum], most: int, days_before_time_is_over: int) -> None:
    pages = []
    position: Position | None = Position("a", DAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "MOST_SUMS", most)
        while position is not None:
            rest = (each for each in by_day(found) if (each.tenant, each.day) >= (position.tenant, position.day))
            looks = iter(range(days_before_time_is_over + 1))
            groups = Groups(["user", "day"], SPAN, {})
            position = groups.collect(rest, lambda looks=looks: next(looks, None) is not None)  # type: ignore[misc]  # a default
            pages.append(groups.total)
    assert sum(pages, Use()) == total(found)


def test_a_day_with_more_groups_than_fit_begins_a_page_and_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MOST_GROUPS", 2)

    def of_day(number: int, users: str) -> DaySums:
        day = DAY + timedelta(days=number)
        key = {"caller": "k", "hour": 1, "operation": "chat", "provider": "", "model": "", "credential": "", "task": ""}
        return DaySums("a", day, tuple(UsageSum("a", day, SumKey(user=user, **key), Use(1)) for user in users))  # type: ignore[arg-type]  # mixed

    groups = Groups(["user"], SPAN, {})
    assert groups.collect(iter([of_day(0, "xy"), of_day(1, "yz")]), always) == Position("a", DAY + timedelta(days=1))
    assert groups.total.requests == 2
    with pytest.raises(InvalidRequestError, match="3 groups"):
        Groups(["user"], SPAN, {}).collect(iter([of_day(0, "xyz")]), always)


@given(st.integers(0, 10**7), st.sampled_from(["1d", "7d", "30d", "90d"]))
def test_the_last_days_are_whole_hours_up_to_now(seconds: int, days: str) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=seconds)
    span = Span.of_last(days, now)  # type: ignore[arg-type]  # one of the four
    assert span.end == now
    assert timedelta() <= span.end - span.start - timedelta(days=int(days[:-1])) < timedelta(hours=1)
    assert span.covers(now.date(), now.hour) or now == span.end.replace(minute=0, second=0, microsecond=0)
    assert not span.covers(span.start.date() - timedelta(days=1), 23)
