"""Periods that questions name, as days: "last week", "between 2 and 6 March", "since January". Pure.

Weeks begin on Monday. "last week" is the calendar's, "the past week" the seven days up to today. What is named without
a year is the latest that has begun.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from sluice.loading.dataclass import dataclass

_MONTHS = (
    "january|jan",
    "february|feb",
    "march|mar",
    "april|apr",
    "may",
    "june|jun",
    "july|jul",
    "august|aug",
    "september|sept|sep",
    "october|oct",
    "november|nov",
    "december|dec",
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NUMBER_WORDS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fourteen": 14,
    "thirty": 30,
    "sixty": 60,
    "ninety": 90,
}
_DAY = timedelta(days=1)
_WEEK_DAYS = 7
_MONTHS_OF_QUARTER = 3
_MOST_BACK_DAYS = 3_660
_UNIT_DAYS = {"day": (1,), "week": (7,), "month": range(28, 32), "quarter": range(90, 93), "year": (365, 366)}

# "may" is a verb, unless what is around it makes it a month.
_MONTH = (
    "|".join(names for names in _MONTHS if names != "may") + r"|(?<=in )may|(?<=of )may|(?<=since )may|(?<=for )may"
)
_NTH = r"(\d{1,2})(?:st|nd|rd|th)?"
_ONE_DAY = (
    r"(?:\d{4}-\d{2}-\d{2}"
    rf"|(?:the )?\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?:{_MONTH}|may)\b(?:,? \d{{4}})?"
    rf"|(?:{_MONTH}|may) (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b(?!\d)(?:,? \d{{4}})?"
    r"|today|yesterday|the day before yesterday)"
)
_COUNT = rf"(\d{{1,3}}|{'|'.join(NUMBER_WORDS)}|a|couple of)"
_PAST = r"(?:the )?(?:last|past|previous)"
_TO = r"(?:and|to|until|till|through|-)"
_FILLER = r"(?:so far |up to now |until now )?"


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both included. `is_default`: nothing was said, and this is what is usual."""

    first: date
    last: date
    is_default: bool = False

    @property
    def days(self) -> int:
        """How many there are."""
        return (self.last - self.first).days + 1

    def until(self, today: date) -> "Period":
        """What of it has begun; all of it if none has."""
        return self if self.first > today else Period(self.first, min(self.last, today), self.is_default)

    def before(self) -> "Period":
        """As many days before it; of days from the first of a month on, the same of the month before.

        Before the calendar's first day there is none: that is as far back as it goes.
        """
        end = _moved(self.first, -1)
        if self.first.day == 1 and self.last <= _month_end(self.first):
            first = _month_start(end)
            is_whole = self.last == _month_end(self.first)
            return Period(first, end if is_whole else min(end, _moved(first, self.days - 1)))
        return Period(_moved(self.first, -self.days), end)


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods that a text names, in its order, and the text with a mark in the place of each.

    `now` is the period up to today before which all that is named lies: "the month before", and no other is named.
    """

    text: str
    found: tuple[Period, ...]
    now: Period | None = None


@dataclass(frozen=True, slots=True)
class _Before:
    """What "the month before" is: the one before another period that is named, or before the present one."""

    unit: str

    def period(self, named: Sequence[Period], today: date) -> Period:
        """Which days it has."""
        if not named:
            return _unit_before(self.unit, today)
        other = named[0]
        if other != _unit_now(self.unit, other.first) and other.days in _UNIT_DAYS[self.unit]:
            return other.before()  # as the seven days before "the past week"
        return _unit_before(self.unit, other.first)


MARK = "\ue000"
"""Stands in a text for a period."""
_FILLED = "\ue001"


def this_month(today: date) -> Period:
    """What is meant where nothing is said."""
    return Period(today.replace(day=1), today, is_default=True)


def read_periods(text: str, today: date) -> Periods:
    """Find the periods in a text of lower-case words with single spaces between them."""
    found: list[tuple[int, Period | _Before]] = []
    for pattern, make in _PATTERNS:
        while (match := pattern.search(text)) is not None:
            period = _made(make, match, today)
            if period is None:
                break
            # As long as what it replaces, so that places stay what they were.
            width = match.end() - match.start()
            text = text[: match.start()] + MARK.ljust(width, _FILLED) + text[match.end() :]
            found.append((match.start(), period))
    ordered = [period for _, period in sorted(found, key=lambda each: each[0])]
    named = [each for each in ordered if isinstance(each, Period)]
    periods = tuple(each if isinstance(each, Period) else each.period(named, today) for each in ordered)
    before = next((each for each in ordered if isinstance(each, _Before)), None)
    now = None if named or before is None else _unit_now(before.unit, today).until(today)
    return Periods(text.replace(_FILLED, ""), periods, now)


def _made(make: "_Makes", match: re.Match[str], today: date) -> Period | _Before | None:
    try:
        return make(match, today)
    except (ValueError, OverflowError):
        return None  # the 31st of February


def _moved(day: date, days: int) -> date:
    """So many days later, or earlier, but within the calendar."""
    return date.fromordinal(max(date.min.toordinal(), min(date.max.toordinal(), day.toordinal() + days)))


def _month_start(day: date) -> date:
    return day.replace(day=1)


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _months_back(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    first = date(number // 12, number % 12 + 1, 1)
    return min(first.replace(day=min(day.day, 28)) if day.day > 28 else first.replace(day=day.day), _month_end(first))


def _month_number(name: str) -> int:
    return next(number for number, names in enumerate(_MONTHS, 1) if name in names.split("|"))


def _latest(month: int, year: str | None, today: date) -> date:
    if year:
        return date(int(year), month, 1)
    return date(today.year if month <= today.month else today.year - 1, month, 1)


def _day_of(text: str, today: date) -> date:
    if text == "today":
        return today
    if text == "yesterday":
        return today - _DAY
    if text == "the day before yesterday":
        return today - 2 * _DAY
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(text)
    month = re.search(rf"\b(?:{'|'.join(_MONTHS)})\b", text)
    year, number = re.search(r"\b\d{4}\b", text), re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", text)
    if month is None or number is None:
        raise ValueError(text)
    first = _latest(_month_number(month.group()), year.group() if year else None, today)
    return first.replace(day=int(number.group(1)))


def _count(text: str) -> int:
    if text.isdigit():
        return int(text)
    return {"a": 1, "couple of": 2}.get(text) or NUMBER_WORDS[text]


def _unit_now(unit: str, today: date) -> Period:
    """The day, week, month, quarter or year that today is in."""
    if unit == "week":
        first = _moved(today, -today.weekday())
        return Period(first, _moved(first, 6))
    if unit == "month":
        return Period(_month_start(today), _month_end(today))
    if unit == "quarter":
        first = today.replace(month=(today.month - 1) // _MONTHS_OF_QUARTER * _MONTHS_OF_QUARTER + 1, day=1)
        return Period(first, _month_end(first + timedelta(days=62)))
    if unit == "year":
        return Period(today.replace(month=1, day=1), today.replace(month=12, day=31))
    return Period(today, today)


def _unit_before(unit: str, today: date, times: int = 1) -> Period:
    now = _unit_now(unit, today)
    for _ in range(times):
        now = _unit_now(unit, _moved(now.first, -1))
    return now


def _next_unit(match: re.Match[str], today: date) -> Period:
    after = _unit_now(match.group(1), today).last + _DAY
    return _unit_now(match.group(1), after)


def _last_counted(match: re.Match[str], today: date) -> Period | None:
    count, unit = _count(match.group(1)), match.group(2)
    if not count:
        return None
    if unit == "month":
        return Period(_months_back(today, count) + _DAY, today)
    days = count * {"day": 1, "week": _WEEK_DAYS, "quarter": 91, "year": 365}[unit]
    return None if days > _MOST_BACK_DAYS else Period(today - timedelta(days=days - 1), today)


def _past_unit(match: re.Match[str], today: date) -> Period:
    days = {"week": 7, "fortnight": 14, "month": 30, "quarter": 91, "year": 365}[match.group(1)]
    return Period(today - timedelta(days=days - 1), today)


def _between_days(match: re.Match[str], today: date) -> Period | None:
    first, last = _day_of(match.group(1), today), _day_of(match.group(2), today)
    if first > last and not re.search(r"\d{4}", match.group(1)):
        first = first.replace(year=first.year - 1)
    return Period(first, last) if first <= last else None


def _between_of_month(match: re.Match[str], today: date) -> Period | None:
    start = _latest(_month_number(match.group(3)), match.group(4), today)
    first, last = start.replace(day=int(match.group(1))), start.replace(day=int(match.group(2)))
    return Period(first, last) if first <= last else None


def _between_of_month_first(match: re.Match[str], today: date) -> Period | None:
    start = _latest(_month_number(match.group(1)), match.group(4), today)
    first, last = start.replace(day=int(match.group(2))), start.replace(day=int(match.group(3)))
    return Period(first, last) if first <= last else None


def _between_months(match: re.Match[str], today: date) -> Period | None:
    last = _latest(_month_number(match.group(2)), match.group(3), today)
    first = _latest(_month_number(match.group(1)), str(last.year), today)
    if first > last:
        first = first.replace(year=first.year - 1)
    return Period(first, _month_end(last))


def _single_day(match: re.Match[str], today: date) -> Period:
    day = _day_of(match.group(1), today)
    return Period(day, day)


def _named_month(match: re.Match[str], today: date) -> Period:
    first = _latest(_month_number(match.group(1)), match.group(2), today)
    return Period(first, _month_end(first))


def _since(match: re.Match[str], today: date) -> Period | None:
    day = _day_of(match.group(1), today)
    return Period(day, today) if day <= today else None


def _since_month(match: re.Match[str], today: date) -> Period:
    return Period(_latest(_month_number(match.group(1)), match.group(2), today), today)


def _since_start(match: re.Match[str], today: date) -> Period:
    return Period(_unit_now(match.group(1), today).first, today)


def _weekday(match: re.Match[str], today: date) -> Period:
    back = (today.weekday() - _WEEKDAYS.index(match.group(1))) % _WEEK_DAYS or _WEEK_DAYS
    return Period(today - timedelta(days=back), today - timedelta(days=back))


def _since_weekday(match: re.Match[str], today: date) -> Period:
    return Period(_weekday(match, today).first, today)


def _quarter(match: re.Match[str], today: date) -> Period:
    number = (
        int(match.group(1))
        if match.group(1).isdigit()
        else ("first", "second", "third", "fourth").index(match.group(1)) + 1
    )
    first = date(int(match.group(2) or today.year), (number - 1) * _MONTHS_OF_QUARTER + 1, 1)
    if first > today and not match.group(2):
        first = first.replace(year=first.year - 1)
    return Period(first, _month_end(first + timedelta(days=62)))


def _year(match: re.Match[str], _: date) -> Period:
    year = int(match.group(1))
    return Period(date(year, 1, 1), date(year, 12, 31))


type _Makes = Callable[[re.Match[str], date], Period | _Before | None]
_MONTHS_ALL = "|".join(_MONTHS)
_PATTERNS: tuple[tuple[re.Pattern[str], _Makes], ...] = tuple(
    (re.compile(rf"\b{pattern}\b"), make)
    for pattern, make in (
        (rf"(?:between|from) ({_ONE_DAY}) {_TO} ({_ONE_DAY})", _between_days),
        (
            rf"(?:between |from )?(?:the )?{_NTH} {_TO} (?:the )?{_NTH} (?:of )?({_MONTHS_ALL})(?: (\d{{4}}))?",
            _between_of_month,
        ),
        (
            rf"(?:between |from )?({_MONTHS_ALL}) {_NTH} {_TO} {_NTH}(?: (\d{{4}}))?",
            _between_of_month_first,
        ),
        (
            rf"(?:between|from) ({_MONTHS_ALL}) {_TO} ({_MONTHS_ALL})(?: (\d{{4}}))?",
            _between_months,
        ),
        (rf"since ({_ONE_DAY})", _since),
        (rf"since (?:last )?({'|'.join(_WEEKDAYS)})", _since_weekday),
        (rf"since ({_MONTHS_ALL})(?: (\d{{4}}))?", _since_month),
        (r"since (?:the )?(?:start|beginning) of (?:the |this )?(week|month|quarter|year)", _since_start),
        (rf"(?:since )?{_FILLER}(?:the )?(week|month|quarter|year) to date", _since_start),
        (r"the (day|week|month|quarter|year) before (?:this|that) one", lambda m, t: _unit_before(m.group(1), t)),
        (r"(?:the )?(week|month|quarter|year) before last", lambda m, t: _unit_before(m.group(1), t, 2)),
        (rf"({_ONE_DAY})", _single_day),
        (r"the (day|week|month|quarter|year) before", lambda m, _t: _Before(m.group(1))),
        (r"tomorrow", lambda _m, t: Period(t + _DAY, t + _DAY)),
        (r"(?:the )?(?:next|coming|upcoming) (week|month|quarter|year)", _next_unit),
        (
            rf"(?:(?:in|over|during|within|for) )?{_PAST} {_COUNT} (day|week|month|quarter|year)s?",
            _last_counted,
        ),
        (r"(?:the )?past (week|fortnight|month|quarter|year)", _past_unit),
        (r"(?:the )?last (fortnight)", _past_unit),
        (r"(?:the )?(?:last|previous) (week|month|quarter|year)", lambda m, t: _unit_before(m.group(1), t)),
        (
            r"(?:this|the current|the present|the ongoing) (week|month|quarter|year)",
            lambda m, t: _unit_now(m.group(1), t),
        ),
        (rf"(?:on |last |this )?({'|'.join(_WEEKDAYS)})", _weekday),
        (r"q([1-4])(?: (?:of )?(\d{4}))?", _quarter),
        (r"(?:the )?(first|second|third|fourth) quarter(?: (?:of )?(\d{4}))?", _quarter),
        (rf"({_MONTH})(?: (?:of )?(\d{{4}}))?", _named_month),
        (r"(?:in|of|during|for|since)(?: the)?(?: year)? ((?:19|20)\d{2})", _year),
        (r"(?:the )?year ((?:19|20)\d{2})", _year),
    )
)
