"""Answers about usage, in words that code has written: figures, and what they are of. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from sluice.answering.figures import UNITS, Figure, UsageOfPeriods, measured
from sluice.answering.names import Names
from sluice.answering.periods import Period
from sluice.answering.plan import Dimension, Measure, UsagePlan
from sluice.loading.dataclass import dataclass
from sluice.usage.sums import Use

_MOST_ROWS = 20
_CONTRIBUTORS = 3
_SUPERLATIVES = (("highest", "lowest"), ("most", "fewest"))
_PLURALS = {"day": "days", "hour": "hours of the day", "key": "API keys", "week": "weeks", "month": "months"}
_SINGULARS = {"key": "API key", "hour": "hour of the day"}
_ACTIVE = {"user": "active", "tenant": "active"}
_NONE = {"user": "no user named", "task": "no task", "credential": "no credential"}
_DEFINITIONS = {
    Measure.ERRORS: "Errors are calls that may be billed and whose answer was not given.",
    Measure.ERROR_RATE: "The error rate is errors in each hundred requests.",
    Measure.CACHE_HIT_RATE: "The cache hit rate is how many of each hundred requests the cache answered.",
    Measure.COST: "Cost is what providers charge, in US dollars.",
    Measure.RESPONSE_TIME: "Response times are means over all requests.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose usage an answer is about, in words; the name of the time zone of its days, and the day that it is there."""

    whose: str
    zone: str
    today: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A composed answer: its sentences, of which the first answers, and all figures that they have.

    `further` is analysis, `notes` are sentences that say what is counted.
    """

    answer: str
    figures: tuple[Figure, ...]
    further: str = ""
    further_figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Composer:
    """Writes answers about the usage of some periods."""

    usage: UsageOfPeriods
    names: Names
    scope: Scope

    def compose(self, plan: UsagePlan) -> Composed:
        """The answer to a question."""
        write = {
            "total": self._total,
            "ranking": self._ranking,
            "breakdown": self._breakdown,
            "two_periods": self._two_periods,
            "names_beside": self._names_beside,
            "share": self._share,
            "distinct": self._distinct,
            "per_day": self._per_day,
        }
        composed = write[plan.form](plan)
        return replace(composed, notes=self._notes(plan))

    def analysed(self, plan: UsagePlan, composed: Composed) -> Composed:
        """The answer with what was before, and who contributed most: of totals of one thing alone."""
        measure, period = plan.measures[0], plan.periods[0]
        if plan.form != "total" or len(plan.measures) > 1 or not measure.adds_up:
            return composed
        figures = [self._figure(plan, measure, each) for each in (period, period.before())]
        sentences = [
            f"{_dates(period.before()).capitalize()} it was {figures[1].text}"
            f"{self._change(*figures, figures_out=figures)}."
        ]
        if not any(each.dimension == "model" for each in plan.filters):
            rows = self._rows(plan, "model", measure)[:_CONTRIBUTORS]
            shares = [self._row_figure("model", name, value, measure, period) for name, value in rows if value]
            if len(shares) > 1:
                sentences.append(f"Most of it: {'; '.join(f'{_of(each)} {each.text}' for each in shares)}.")
                figures += shares
        return replace(composed, further=" ".join(sentences), further_figures=tuple(figures[1:]))

    # ---- forms ----

    def _total(self, plan: UsagePlan) -> Composed:
        [period] = plan.periods
        figures = tuple(self._figure(plan, each, period) for each in plan.measures)
        return Composed(answer=f"{self._opening(plan, period)} {self._listed(figures)}.", figures=figures)

    def _per_day(self, plan: UsagePlan) -> Composed:
        [period] = plan.periods
        figures = []
        for each in plan.measures:
            total = self._figure(plan, each, period)
            mean = None if total.value is None else total.value / period.days
            figures.append(replace(total, name=f"{each} per day", value=mean))
        days = Figure(name="days", value=Decimal(period.days), unit="count", period=period)
        text = f"{self._opening(plan, period)} {self._listed(figures)}, over {days.text} day{_s(period.days)}."
        return Composed(answer=text, figures=(*figures, days))

    def _ranking(self, plan: UsagePlan) -> Composed:
        [period], dimension, measure = plan.periods, self._dimension(plan), plan.measures[0]
        rows = [(name, value) for name, value in self._rows(plan, dimension, measure, plan.is_least) if name]
        if not rows:
            return Composed(answer=f"{self._opening(plan, period)} nothing.", figures=())
        # Who has as much as the last one is named as well.
        cut = rows[min(plan.most, len(rows)) - 1][1]
        chosen = [row for place, row in enumerate(rows) if place < plan.most or row[1] == cut][:_MOST_ROWS]
        figures = tuple(self._row_figure(dimension, name, value, measure, period) for name, value in chosen)
        which = _SUPERLATIVES[measure.adds_up and measure is not Measure.COST][plan.is_least]
        what = _singular(dimension) if len(figures) == 1 else _PLURALS.get(dimension, f"{dimension}s")
        listed = ", ".join(f"{_of(each)} with {each.text}" for each in figures)
        opening = f"{_dates(period).capitalize()}, the {what} of {self._whose(plan)} with the {which} {measure}"
        return Composed(answer=f"{opening}: {listed}.", figures=figures)

    def _breakdown(self, plan: UsagePlan) -> Composed:
        [period], dimension = plan.periods, self._dimension(plan)
        figures: list[Figure] = []
        lines = []
        for measure in plan.measures:
            rows = self._rows(plan, dimension, measure)
            if dimension in {"day", "week", "month", "hour"}:
                rows.sort()
            kept = [self._row_figure(dimension, *row, measure, period) for row in rows[:_MOST_ROWS]]
            figures += kept
            listed = "; ".join(f"{_of(each)} {each.text}" for each in kept) or "nothing"
            rest = [value for _, value in rows[_MOST_ROWS:] if value is not None]
            if rest and measure.adds_up:
                others = Figure(name=f"{measure} of the others", value=sum(rest, Decimal()), unit=UNITS[measure])
                figures.append(others)
                listed += f"; all others together {others.text}"
            lines.append(f"{measure} by {_singular(dimension)}: {listed}")
        text = f"{self._opening(plan, period)} {'. '.join(lines)}."
        return Composed(answer=text, figures=tuple(figures))

    def _two_periods(self, plan: UsagePlan) -> Composed:
        one, two = plan.periods[:2]
        figures: list[Figure] = []
        parts = []
        for measure in plan.measures:
            first, second = self._figure(plan, measure, one), self._figure(plan, measure, two)
            figures += [first, second]
            parts.append(
                f"{measure}: {first.text} {_dates(one)}, and {second.text} {_dates(two)}"
                f"{self._change(first, second, figures_out=figures)}"
            )
        return Composed(answer=f"For {self._whose(plan)}, {'. '.join(parts)}.", figures=tuple(figures))

    def _names_beside(self, plan: UsagePlan) -> Composed:
        [period] = plan.periods
        figures: list[Figure] = []
        parts = []
        for measure in plan.measures:
            own = []
            for each in plan.beside:
                value = measured(self.usage.total(period, (*plan.filters, each)), measure)
                own.append(self._row_figure(each.dimension, each.value, value, measure, period))
            figures += own
            ordered = sorted((each for each in own if each.value is not None), key=lambda each: -(each.value or 0))
            listed = "; ".join(f"{_of(each)} {each.text}" for each in own)
            if len(ordered) > 1 and ordered[0].value != ordered[1].value:
                listed += f" ({_of(ordered[0])} has the most)"
            parts.append(f"{measure}: {listed}")
        text = f"{self._opening(plan, period)} {'. '.join(parts)}."
        return Composed(answer=text, figures=tuple(figures))

    def _share(self, plan: UsagePlan) -> Composed:
        [period], measure = plan.periods, plan.measures[0]
        shared = set(plan.beside)
        others = tuple(each for each in plan.filters if each not in shared)
        whole = Figure(
            name=str(measure),
            value=measured(self.usage.total(period, others), measure),
            unit=UNITS[measure],
            period=period,
        )
        figures, parts = [whole], []
        for each in plan.beside:
            part = measured(self.usage.total(period, (*others, each)), measure)
            own = self._row_figure(each.dimension, each.value, part, measure, period)
            percent = None if not whole.value or part is None else 100 * part / whole.value
            share = replace(own, name=f"share of {measure}", value=percent, unit="percent")
            figures += [own, share]
            parts.append(f"{_of(own)} {own.text}" + (f", {share.text}" if percent is not None else ""))
        narrowed = replace(plan, filters=others)
        text = f"{self._opening(narrowed, period)} {measure} {whole.text}; of that {'; '.join(parts)}."
        return Composed(answer=text, figures=tuple(figures))

    def _distinct(self, plan: UsagePlan) -> Composed:
        [period], dimension = plan.periods, self._dimension(plan)
        rows = [name for name, _ in self._rows(plan, dimension, Measure.REQUESTS) if name]
        listed = ", ".join(self.names.of(dimension, name)[:64] for name in rows[:_MOST_ROWS])
        name, count = f"different {dimension}s", Decimal(len(rows))
        of = {f"{dimension}s": listed} if rows else {}
        figure = Figure(name=name, value=count, unit="count", period=period, of=of)
        what = _singular(dimension) if len(rows) == 1 else _PLURALS.get(dimension, f"{dimension}s")
        were = f"{'was' if len(rows) == 1 else 'were'} {_ACTIVE.get(dimension, 'used')}"
        text = f"{self._opening(plan, period)} {figure.text} different {what} {were}"
        return Composed(answer=f"{text}{f': {listed}' if listed else ''}.", figures=(figure,))

    # ---- parts ----

    def _figure(self, plan: UsagePlan, measure: Measure, period: Period) -> Figure:
        value = measured(self.usage.total(period, plan.filters), measure)
        of = {str(each.dimension): self.names.of(each.dimension, each.value) for each in plan.filters}
        return Figure(name=str(measure), value=value, unit=UNITS[measure], period=period, of=of)

    def _rows(
        self, plan: UsagePlan, dimension: Dimension, measure: Measure, is_least: bool = False
    ) -> list[tuple[str, Decimal | None]]:
        """The values of a dimension with what each measures, the greatest first, or the least."""
        groups: dict[str, Use] = self.usage.groups(plan.periods[0], dimension, plan.filters)
        rows = [(name, measured(use, measure)) for name, use in groups.items()]
        known = [row for row in rows if row[1] is not None]
        return sorted(known, key=lambda row: ((row[1] or Decimal()) * (1 if is_least else -1), row[0]))

    def _row_figure(
        self, dimension: Dimension, name: str, value: Decimal | None, measure: Measure, period: Period
    ) -> Figure:
        called = self.names.of(dimension, name)[:64] or f"({_NONE.get(dimension, 'none')})"
        return Figure(name=str(measure), value=value, unit=UNITS[measure], period=period, of={dimension: called})

    def _change(self, new: Figure, old: Figure, *, figures_out: list[Figure]) -> str:
        if new.value is None or old.value is None:
            return ""
        if new.value == old.value:
            return "; the same"
        difference = replace(new, name=f"difference of {new.name}", value=abs(new.value - old.value))
        direction = "more" if new.value > old.value else "less"
        figures_out.append(difference)
        if not old.value:
            return f"; {difference.text} {direction}"
        percent = replace(
            new, name=f"change of {new.name}", value=100 * abs(new.value - old.value) / old.value, unit="percent"
        )
        figures_out.append(percent)
        return f"; {difference.text} or {percent.text} {direction}"

    def _opening(self, plan: UsagePlan, period: Period) -> str:
        return f"{_dates(period).capitalize()}, for {self._whose(plan)}:"

    def _whose(self, plan: UsagePlan) -> str:
        named = [
            f"{_singular(each.dimension)} {self.names.of(each.dimension, each.value)[:64]}" for each in plan.filters
        ]
        is_named = any(each.dimension == "tenant" for each in plan.filters)
        return ", ".join(named if is_named else [self.scope.whose, *named])

    def _listed(self, figures: Sequence[Figure]) -> str:
        return ", ".join(f"{each.name} {each.text}" for each in figures)

    def _dimension(self, plan: UsagePlan) -> Dimension:
        if plan.dimension is None:
            raise ValueError(f"a {plan.form} is of a dimension")
        return plan.dimension

    def _notes(self, plan: UsagePlan) -> tuple[str, ...]:
        said = [_DEFINITIONS[each] for each in dict.fromkeys(plan.measures) if each in _DEFINITIONS]
        if plan.periods[0].is_default:
            said.insert(0, "No period was named: this is the month so far.")
        if any(each.last == self.scope.today for each in plan.periods):
            said.append(f"{self.scope.today} is not over.")
        return (*said, f"Days are those of the time zone {self.scope.zone}.")


def _of(figure: Figure) -> str:
    return next(iter(figure.of.values()), "")


def _singular(dimension: str) -> str:
    return _SINGULARS.get(dimension, dimension)


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _dates(period: Period) -> str:
    return f"on {period.first}" if period.first == period.last else f"from {period.first} to {period.last}"
