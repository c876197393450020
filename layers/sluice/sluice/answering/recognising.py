"""Recognises questions that tools answer: makes a plan of the phrases that one was read as. Pure.

A question with a word that nobody knows may mean something else than what is known, and is none of these.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum

from sluice.answering.lexicon import lexicon
from sluice.answering.names import Names
from sluice.answering.periods import Period, read_periods, this_month
from sluice.answering.phrases import Reading, is_dimension, read_question
from sluice.answering.plan import Filter, Form, Measure, Plan, StandingPlan, UsagePlan
from sluice.answering.words import plain
from sluice.usage.period import MOST_DAYS

MOST_RANKED = 20
# A day less than is kept: the first hours of it are going.
_KEPT_DAYS = 399
_FEW = 3
_BESIDE_MOST = 6

_MEASURES = {
    "cost": Measure.COST,
    "requests": Measure.REQUESTS,
    "tokens": Measure.TOKENS,
    "prompt": Measure.PROMPT_TOKENS,
    "completion": Measure.COMPLETION_TOKENS,
    "hits": Measure.CACHE_HITS,
    "hit_rate": Measure.CACHE_HIT_RATE,
    "errors": Measure.ERRORS,
    "error_rate": Measure.ERROR_RATE,
    "latency": Measure.RESPONSE_TIME,
}
USUAL_MEASURES = (Measure.COST, Measure.REQUESTS, Measure.TOKENS)
_COUNTED: frozenset[str] = frozenset({"model", "provider", "key", "user", "task", "tenant"})
# What they say of health is nothing where something is measured: "ran up a bill".
_WEAK = frozenset({"up", "down", "running", "working", "ok", "okay", "available", "left over", "stored", "received"})


class Refusal(StrEnum):
    """Why a question that is understood has no answer."""

    FUTURE = "future"
    TOO_LONG = "too_long"
    NOT_KEPT = "not_kept"


def is_about_usage(text: str) -> bool:
    """Whether a question has a word of what is measured, or of what has an order: names of usage may be in it."""
    words = plain(text).split()
    for start in range(len(words)):
        for length in range(1, lexicon().longest + 1):
            tags = lexicon().tags.get(tuple(words[start : start + length]), ())
            if any(tag.startswith(("m:", "i:", "o:", "f:compare", "f:distinct")) or tag == "q:many" for tag in tags):
                return True
    return False


def periods_of(text: str, today: date) -> tuple[Period, ...]:
    """The periods that a question is about: those that it names, or this month."""
    found = read_periods(plain(text), today).found
    return tuple(each.until(today) for each in found) or (this_month(today),)


def recognise(text: str, today: date, names: Names) -> Plan | Refusal | None:
    """What a question asks for; None if it, or a word of it, is not understood."""
    read = read_question(text, today, names)
    if read is None:
        return None
    standing = _standing(read, today)
    return standing or _usage(read, today)


# ---- what holds now ----


def _standing(read: Reading, today: date) -> StandingPlan | None:
    topics, measures = set(read.of_kind("t:")), set(read.of_kind("m:"))
    is_now = all(each.first <= today <= each.last for each in read.periods)
    if not is_now:
        return None
    dimensions = {name for name, _ in read.dimensions}
    provider = next((each.value for each in read.filters if each.dimension == "provider"), "")
    if "health" in topics and topics == {"health"} and not measures and (provider or "provider" in dimensions):
        if dimensions <= {"provider"} and len(read.filters) == bool(provider):
            return StandingPlan(topic="health", name=provider, only_bad=read.has("a:bad") and not provider)
        return None
    if read.filters or dimensions - {"month", "day"}:
        return None
    if topics & {"documents", "ingested", "vectors"} or read.has("x:jira", "x:github"):
        return _coverage(read, topics, measures)
    topics -= {"health"}
    if topics == {"stores"} and not measures and not dimensions:
        return StandingPlan(topic="stores")
    if topics == {"budget"} or (not topics and read.has("a:left") and measures == {"cost"}):
        is_known = measures <= {"cost"} and not read.has("f:average", "f:compare", "q:why")
        return StandingPlan(topic="budget") if is_known and not read.has("a:minute") else None
    if topics == {"limits"} or (not topics and read.has("a:left") and measures and measures <= {"requests", "tokens"}):
        is_day = "day" in dimensions or any(each.days == 1 for each in read.periods)
        return StandingPlan(topic="limits", window="minute" if read.has("a:minute") else "day" if is_day else "")
    return None


def _coverage(read: Reading, topics: set[str], measures: set[str]) -> StandingPlan | None:
    kinds = [name for name in ("jira", "github") if read.has(f"x:{name}")]
    if topics - {"documents", "ingested", "vectors", "health"} or measures or read.periods or len(kinds) > 1:
        return None
    if not (read.has("q:many", "q:much") or topics & {"ingested", "vectors"}):
        return None
    return StandingPlan(topic="coverage", name=kinds[0] if kinds else "", only_bad="vectors" in topics)


# ---- usage ----


def _usage(read: Reading, today: date) -> UsagePlan | Refusal | None:
    if not _has_usage_alone(read):
        return None
    for kind in ("embedding", "chat"):
        if read.has(f"x:{kind}"):
            read.filters.append(Filter("operation", kind))
    dimensions = [name for name, _ in read.dimensions]
    shape = _shape(read, dimensions)
    if shape is None:
        return None
    form, measures, beside = shape
    periods = tuple(each.until(today) for each in read.periods) or (this_month(today),)
    if len(periods) > 1 and form != "two_periods":
        return None
    refusal = refused(periods, today)
    if refusal is None and form == "two_periods" and len(periods) == 1:
        periods = (periods[0], periods[0].before()) if read.now is None else (read.now, periods[0])
        refusal = refused(periods, today)
    if refusal is not None:
        return refusal
    filters = tuple(each for each in dict.fromkeys(read.filters) if each not in beside)
    if len({each.dimension for each in filters}) < len(filters):
        return None
    return UsagePlan(
        form=form,
        measures=measures,
        periods=periods,
        dimension=dimensions[0] if form in {"ranking", "breakdown", "distinct"} else None,
        filters=filters,
        beside=tuple(beside),
        most=_wanted(read),
        is_least=read.has("o:least"),
    )


def _has_usage_alone(read: Reading) -> bool:
    """Whether nothing is asked that usage does not tell."""
    if read.has("u:unknown"):
        return False
    for item in read.items:
        strange = [tag for tag in item.tags if tag.startswith(("t:", "a:")) or tag in {"x:jira", "x:github", "q:why"}]
        if strange and item.words not in _WEAK and "a:used" not in item.tags:
            return False
    return True


def _shape(read: Reading, dimensions: Sequence[str]) -> tuple[Form, tuple[Measure, ...], list[Filter]] | None:
    """The form of a question, what is measured, and the names that are set beside each other."""
    measures = _measures(read)
    beside = _beside(read)
    has_order, two = bool(read.of_kind("o:")), len(read.periods) == 2
    if len(set(dimensions)) > 1 or measures is None:
        return None
    if _counts_names(read, dimensions):
        return ("distinct", (Measure.REQUESTS,), []) if set(measures) <= {Measure.REQUESTS} else None
    if read.has("f:per_day") and read.has("f:average") and not has_order:
        return ("per_day", measures, []) if measures and all(each.adds_up for each in measures) else None
    if has_order and dimensions and not two:
        own = measures or _implied(read)
        if measures and not set(_implied(read)) <= {Measure.REQUESTS, *measures}:
            return None
        return ("ranking", own, []) if len(own) == 1 and not beside else None
    own = measures or (_implied(read) if has_order else ())
    if not own and not read.has("f:compare", "m:usage") and not (dimensions and read.has("f:per")):
        return None
    own = own or USUAL_MEASURES
    if read.has("f:share") and not dimensions:
        names = beside or read.filters[-1:]
        is_rate = not any(each.adds_up for each in own)
        if is_rate:
            return "total", own, []
        return ("share", own[:1], list(names)) if names and not two else None
    if two:
        return ("two_periods", own, []) if not dimensions and not beside else None
    if beside:
        return "names_beside", own, beside
    if dimensions:
        return "breakdown", own, []
    if read.has("f:compare"):
        return "two_periods", own, []
    return None if has_order else ("total", own, [])


def _measures(read: Reading) -> tuple[Measure, ...] | None:
    """What is measured, by the words for it; None for a mean of what has no mean here."""
    found = [each for each in read.of_kind("m:") if each != "usage"]
    part = next((each for each in ("errors", "hits") if each in found), None)
    if part is not None and "requests" in found and not _are_joined(read, part):
        found.remove("requests")
        if read.has("f:share"):
            found[found.index(part)] = "hit_rate" if part == "hits" else "error_rate"
    elif part is not None and read.has("f:share") and not read.filters:
        found[found.index(part)] = "hit_rate" if part == "hits" else "error_rate"
    if {"prompt", "completion"} & set(found) and "tokens" in found:
        found.remove("tokens")
    if len(found) > 1 and not read.has("f:and", "f:or", "f:per_request"):
        return None  # the cost of errors is neither the cost nor the errors
    measures = [_MEASURES[each] for each in found]
    if read.has("f:per_request"):
        mean = {Measure.COST: Measure.COST_PER_REQUEST, Measure.TOKENS: Measure.TOKENS_PER_REQUEST}
        of_requests = [mean.get(each, each) for each in measures if each is not Measure.REQUESTS]
        if any(each.adds_up for each in of_requests) or not of_requests:
            return None
        return tuple(of_requests)
    if read.has("f:average") and not read.has("f:per_day"):
        return tuple(measures) if measures and not any(each.adds_up for each in measures) else None
    return tuple(measures)


def _are_joined(read: Reading, part: str) -> bool:
    """Whether requests are asked for beside the errors among them."""
    places = {tag: place for place, item in enumerate(read.items) for tag in item.tags}
    first, last = sorted((places[f"m:{part}"], places["m:requests"]))
    return any("f:and" in item.tags for item in read.items[first:last])


def _implied(read: Reading) -> tuple[Measure, ...]:
    return tuple(_MEASURES[each] for each in read.of_kind("i:"))[:1]


def _beside(read: Reading) -> list[Filter]:
    """The names of one dimension that are set beside each other."""
    for each in read.filters:
        same = [other for other in dict.fromkeys(read.filters) if other.dimension == each.dimension]
        if 1 < len(same) <= _BESIDE_MOST:
            return same
    return []


def _counts_names(read: Reading, dimensions: Sequence[str]) -> bool:
    """Whether it is asked how many models, users and so on there were."""
    if not dimensions or dimensions[0] not in _COUNTED or read.of_kind("o:"):
        return False
    if read.has("f:distinct"):
        return True
    return any(
        "q:many" in item.tags and is_dimension(following)
        for item, following in zip(read.items, read.items[1:], strict=False)
        if following.start == item.end
    )


def _wanted(read: Reading) -> int:
    if read.number is not None:
        return max(1, min(MOST_RANKED, read.number))
    return _FEW if any(is_plural for _, is_plural in read.dimensions) else 1


def refused(periods: Sequence[Period], today: date) -> Refusal | None:
    """Why usage of some periods can not be told; None if it can."""
    if any(each.first > today for each in periods):
        return Refusal.FUTURE
    if any(each.first < today - timedelta(days=_KEPT_DAYS) for each in periods):
        return Refusal.NOT_KEPT
    if sum(each.days for each in periods) > MOST_DAYS:
        return Refusal.TOO_LONG
    return None
