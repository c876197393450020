"""What a question asks for, as the tools take it: measures, dimensions, periods, and no text of the question. Pure."""

from enum import StrEnum
from typing import Literal, get_args

from sluice.answering.periods import Period
from sluice.loading.dataclass import dataclass


class Measure(StrEnum):
    """What is measured of usage, by the word for it."""

    COST = "cost"
    REQUESTS = "requests"
    TOKENS = "tokens"
    PROMPT_TOKENS = "prompt tokens"
    COMPLETION_TOKENS = "completion tokens"
    CACHE_HITS = "cache hits"
    CACHE_HIT_RATE = "cache hit rate"
    ERRORS = "errors"
    ERROR_RATE = "error rate"
    RESPONSE_TIME = "response time"
    COST_PER_REQUEST = "cost per request"
    TOKENS_PER_REQUEST = "tokens per request"

    @property
    def adds_up(self) -> bool:
        """Whether the whole is the sum of its parts, and not a mean of them."""
        return self in _SUMS


_SUMS = frozenset(
    {
        Measure.COST,
        Measure.REQUESTS,
        Measure.TOKENS,
        Measure.PROMPT_TOKENS,
        Measure.COMPLETION_TOKENS,
        Measure.CACHE_HITS,
        Measure.ERRORS,
    }
)

type Dimension = Literal[
    "tenant", "key", "user", "operation", "task", "provider", "credential", "model", "hour", "day", "week", "month"
]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension.__value__)

type Form = Literal["total", "ranking", "breakdown", "two_periods", "names_beside", "share", "distinct", "per_day"]
type Topic = Literal["budget", "limits", "health", "coverage", "stores"]


@dataclass(frozen=True, slots=True)
class Filter:
    """What alone counts: a name of a dimension, by the id that usage has."""

    dimension: Dimension
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePlan:
    """A question about usage.

    A filter narrows all of it; `beside` are names of one dimension that are set beside each other, or whose share is
    asked for. `periods` has one, or two for `two_periods`, the later one first as it was asked. A ranking has the
    `most`, or `is_least` the least, of a dimension.
    """

    form: Form
    measures: tuple[Measure, ...]
    periods: tuple[Period, ...]
    dimension: Dimension | None = None
    filters: tuple[Filter, ...] = ()
    beside: tuple[Filter, ...] = ()
    most: int = 1
    is_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingPlan:
    """A question about what holds now: a budget, limits, providers, what came in, stores.

    `name` is one provider, or one kind of source. `window` is which limits: "day", "minute" or "" for all.
    """

    topic: Topic
    name: str = ""
    window: str = ""
    only_bad: bool = False


type Plan = UsagePlan | StandingPlan
