"""Answers about what holds now: budgets, limits, providers' health, what came in, stores. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from sluice.answering.figures import Figure, Unit
from sluice.answering.periods import Period
from sluice.answering.wording import Composed
from sluice.gateway.allowances import Allowance, LimitLeft
from sluice.ingestion.coverage import Coverage
from sluice.knowledge.vector_store import VectorStore
from sluice.operations.deployment_report import DeploymentHealth

_MOST_LISTED = 20
_OF_LIMITS: Mapping[str, tuple[str, str, Unit]] = {
    "requests_per_minute": ("minute", "requests a minute", "requests"),
    "requests_per_day": ("day", "requests a day", "requests"),
    "tokens_per_minute": ("minute", "tokens a minute", "tokens"),
    "tokens_per_day": ("day", "tokens a day", "tokens"),
    "budget_usd_per_month": ("month", "dollars a month", "usd"),
}


def budget_answer(allowances: Iterable[Allowance], today: date) -> Composed:
    """What is left of budgets in the month, UTC, that `today` is in."""
    month = Period(today.replace(day=1), _next_month(today) - timedelta(days=1))
    figures: list[Figure] = []
    sentences = []
    for each in allowances:
        limit = next((limit for limit in each["limits"] if limit["limit"] == "budget_usd_per_month"), None)
        whose = "Tenant" if each["of"] == "tenant" else "API key"
        if limit is None:
            if each["of"] == "tenant":
                sentences.append(f"{whose} {each['id']} has no budget: what it spends is not limited")
            continue
        own = _left_figures(limit, "usd", month, {each["of"]: each["id"]})
        figures += own
        capacity, used, left = own[:3]
        share = f" or {own[3].text}" if len(own) > 3 else ""
        sentences.append(
            f"{whose} {each['id']} has a budget of {capacity.text} for {month.first} to {month.last} (UTC): {used.text}"
            f"{share} is used, {left.text} is left"
        )
    anew = f" A budget begins anew on {_next_month(today)}." if figures else ""
    return Composed(
        answer=f"{'. '.join(sentences)}.{anew}",
        figures=tuple(figures),
        notes=("What is used includes what is reserved for requests under way.",),
    )


def limits_answer(allowance: Allowance, window: str) -> Composed:
    """What is left of an API key's limits: of a "day", of a "minute", or of all of them."""
    figures: list[Figure] = []
    parts = []
    for limit in allowance["limits"]:
        of, words, unit = _OF_LIMITS[limit["limit"]]
        if window and of != window:
            continue
        own = _left_figures(limit, unit, None, {"key": allowance["id"]})
        figures += own
        parts.append(f"{own[2].text} of {own[0].text} {words} are left")
    which = f"a {window}" if window else "requests, tokens or dollars"
    text = f"Of your API key's limits, {'; '.join(parts)}." if parts else f"Your API key has no limits of {which}."
    notes = ("A day and a minute are the 24 hours and 60 seconds up to now; what is under way counts.",)
    return Composed(answer=text, figures=tuple(figures), notes=notes)


def health_answer(rows: Sequence[DeploymentHealth], name: str, *, only_bad: bool) -> Composed:
    """How providers do, or the one of that name."""
    by_provider: dict[str, list[DeploymentHealth]] = {}
    for row in rows:
        if row["is_enabled"] and name in {"", row["provider"]}:
            by_provider.setdefault(row["provider"], []).append(row)
    if not by_provider:
        what = f"of provider {name}" if name else "of any provider"
        return Composed(answer=f"There are no deployments {what} that are switched on.", figures=())
    figures, bad, listed = [], [], []
    for provider, own in sorted(by_provider.items()):
        fit = [row for row in own if row["is_healthy"]]
        of = {"provider": provider}
        healthy = Figure(name="healthy deployments", value=Decimal(len(fit)), unit="count", of=of)
        every = Figure(name="deployments", value=Decimal(len(own)), unit="count", of=of)
        figures += [healthy, every]
        state = "healthy" if len(fit) == len(own) else "degraded" if fit else "unhealthy"
        line = f"{provider} is {state} ({healthy.text} of {every.text} deployments)"
        listed.append(line)
        if len(fit) < len(own):
            bad.append(line)
    if only_bad and not bad:
        return Composed(answer=f"None: all providers are healthy now. {'; '.join(listed)}.", figures=tuple(figures))
    opening = (
        ""
        if only_bad or name
        else "All providers are healthy now: "
        if not bad
        else "Not all providers are healthy now: "
    )
    return Composed(answer=f"{opening}{'; '.join(bad if only_bad else listed)}.", figures=tuple(figures))


def coverage_answer(coverage: Coverage, kind: str, *, only_missing: bool) -> Composed:
    """How many documents came in, from all sources or those of a kind, and which have no vectors and why."""
    sources = [each for each in coverage.sources if not kind or each.source.type == kind]
    if not sources:
        return Composed(answer=f"There is no source{f' of type {kind}' if kind else ''}.", figures=())
    figures: list[Figure] = []
    parts, reasons = [], dict[str, int]()
    every = missing = 0
    for each in sources:
        count = sum(own.documents for own in each.kinds.values())
        every += count
        missing += sum(own.without_vectors for own in each.kinds.values())
        for own in each.kinds.values():
            for reason, number in own.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + number
        figure = Figure(name="documents", value=Decimal(count), unit="count", of={"source": each.source.name[:64]})
        figures.append(figure)
        parts.append(f"{figure.text} from {each.source.name[:64]} ({each.source.type})")
    total = Figure(name="documents", value=Decimal(every), unit="count")
    without = Figure(name="documents without vectors", value=Decimal(missing), unit="count")
    whys = []
    for reason, number in sorted(reasons.items(), key=lambda each: (-each[1], each[0]))[:_MOST_LISTED]:
        why = Figure(name="documents without vectors", value=Decimal(number), unit="count", of={"reason": reason})
        figures.append(why)
        whys.append(f"{why.text}: {reason}")
    because = f" ({'; '.join(whys)})" if whys else ""
    came = f"{total.text} documents came in: {'; '.join(parts[:_MOST_LISTED])}."
    lack = f"{without.text} of {total.text} documents have no vectors of their newest text{because}."
    text = f"{lack} {came}" if only_missing else f"{came} {lack}"
    if not coverage.is_complete:
        text += " There was no time to look at all of them."
    return Composed(answer=text, figures=(total, without, *figures))


def stores_answer(stores: Sequence[VectorStore], *, has_more: bool) -> Composed:
    """Which vector stores there are."""
    count = Figure(name="vector stores", value=Decimal(len(stores)), unit="count")
    if not stores:
        return Composed(answer="There are no vector stores.", figures=(count,))
    at_least = "at least " if has_more else ""
    listed = ", ".join((each.name or each.id)[:64] for each in stores[:_MOST_LISTED])
    what = "vector store" if len(stores) == 1 else "vector stores"
    return Composed(
        answer=f"There {'is' if len(stores) == 1 else 'are'} {at_least}{count.text} {what}: {listed}.", figures=(count,)
    )


def _left_figures(limit: LimitLeft, unit: Unit, period: Period | None, of: Mapping[str, str]) -> list[Figure]:
    capacity, used, left = (Decimal(str(limit[name])) for name in ("capacity", "used", "remaining"))
    name = _OF_LIMITS[limit["limit"]][1]
    found = [
        Figure(name=f"limit of {name}", value=capacity, unit=unit, period=period, of=of),
        Figure(name=f"used of {name}", value=used, unit=unit, period=period, of=of),
        Figure(name=f"left of {name}", value=left, unit=unit, period=period, of=of),
    ]
    if capacity:
        share = 100 * used / capacity
        found.append(Figure(name=f"share used of {name}", value=share, unit="percent", period=period, of=of))
    return found


def _next_month(today: date) -> date:
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)
