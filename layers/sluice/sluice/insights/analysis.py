"""Analysis: what is found in series, as the agent of their tenant looks for it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sluice.insights.agent import Agent
from sluice.insights.anomalies import anomalies
from sluice.insights.baseline import Baseline
from sluice.insights.finding import Finding, Forecast
from sluice.insights.forecasting import forecast
from sluice.insights.rates import actions, rates
from sluice.insights.ratios import dropped, risen
from sluice.insights.reading import Read, ShortList, Skipped, Snapshot
from sluice.insights.series import Direction, Series
from sluice.insights.trends import trends
from sluice.insights.wording import sentence_start, title_of, words_of
from sluice.loading.dataclass import dataclass

MOST_INSIGHTS = 50
_WEEKS = {"basic": 8, "advanced": 12}
_ORDER = ("critical", "high", "medium", "low")
_WORSE_BY_RATIO: dict[str, Direction] = {"anomaly": "down", "trend": "up"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What was found, those first that matter most, what is expected, and what could not be judged."""

    findings: Sequence[Finding]
    forecasts: Sequence[Forecast]
    skipped: Sequence[Skipped]


def analyse(read: Iterable[Read], agent: Agent) -> Analysis:
    """What is found in some series."""
    findings, forecasts, skipped = list[Finding](), list[Forecast](), list[Skipped]()
    for each in read:
        if isinstance(each, Series):
            found, expected, reason = _of_series(each, agent)
            forecasts += [expected] if expected is not None else []
            skipped += [Skipped(each.name, reason)] if reason else []
        else:
            found = _of_ratio(each, agent)
        worse = each.worse if isinstance(each, Series) else None
        found = [replace(finding, actions=actions(finding.series, finding.direction)) for finding in found]
        findings += found
        if agent.recommends:
            findings += _recommendation(found, worse, agent)
    findings.sort(key=lambda finding: (_ORDER.index(finding.priority), not is_confident(finding, agent)))
    return Analysis(findings=findings[:MOST_INSIGHTS], forecasts=forecasts, skipped=skipped)


def is_confident(finding: Finding, agent: Agent) -> bool:
    """Whether a finding is as sure as the tenant wants those that something is done about."""
    return rates()[finding.rate].value >= agent.confidence_threshold


def _of_series(series: Series, agent: Agent) -> tuple[list[Finding], Forecast | None, str]:
    baseline, count = Baseline(series), len(series.values)
    if baseline.expected(count) is None:
        found = trends(series, _WEEKS[agent.depth]) if agent.finds_trends else []
        return found, None, _too_little(series)
    found = list[Finding]()
    if agent.finds_anomalies:
        found += anomalies(series, baseline, series.pace.judged if agent.depth == "advanced" else 1)
    if agent.finds_trends:
        found += trends(series, _WEEKS[agent.depth])
    return found, forecast(series, baseline) if agent.forecasts else None, ""


def _too_little(series: Series) -> str:
    known = [value for value in series.values if value is not None]
    least = series.pace.least
    if len(series.values) >= least and known and not any(known):
        return "All of it is 0: nothing says how much it varies."
    return f"{len(known)} {series.interval}s of it are known; anomalies and forecasts take {least}, with few gaps."


def _of_ratio(read: Snapshot | ShortList, agent: Agent) -> list[Finding]:
    if isinstance(read, Snapshot):
        found = dropped(read.name, read.current, read.historical_average) if agent.finds_anomalies else None
    else:
        found = risen(read.name, read.values) if agent.finds_trends else None
    return [] if found is None else [found]


def _recommendation(found: Sequence[Finding], worse: Direction | None, agent: Agent) -> list[Finding]:
    """One recommendation for a series that has changed for the worse, as sure as what it follows from."""
    for finding in found:
        is_worse = finding.direction == (_WORSE_BY_RATIO[finding.insight_type] if finding.method == "ratio" else worse)
        if is_worse and is_confident(finding, agent):
            name, first = words_of(finding.series.removesuffix("_trend")), finding.actions[0]
            return [
                replace(
                    finding,
                    insight_type="recommendation",
                    title=f"Look Into {title_of(name)}",
                    description=f"{finding.description.rstrip('.')}. {sentence_start(first)}.",
                )
            ]
    return []
