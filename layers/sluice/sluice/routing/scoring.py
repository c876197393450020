"""Which deployment is best. Pure."""

from sluice.loading.dataclass import dataclass

# The response time at which half of the marks for speed are gone.
_MEDIUM_RESPONSE_MS = 2000.0


# Scores so near to the best are as good as it: the price decides between them.
_AS_GOOD = 0.2


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts; they need not add up to 1."""

    health: float = 0.4
    quota: float = 0.3
    speed: float = 0.3


def score(weights: Weights, health: float, free_share: float, response_time_ms: float | None) -> float:
    """How good a deployment is, in 0..1 for weights that add up to 1.

    `health` and `free_share` are in 0..1; `response_time_ms` is None before the first answer.
    """
    return weights.health * health + weights.quota * free_share + weights.speed * speed(response_time_ms)


def rank(score_: float, best: float, price_usd: float, priority: int) -> tuple[float, float, float, int]:
    """What deployments are sorted by, the first first, where `best` is the highest score among them.

    Among those that are about as good as the best the cheaper comes first, then the better; priority decides between
    what is equal.
    """
    rounded = round(score_, 2)
    if score_ >= best - _AS_GOOD:
        return 0.0, price_usd, -rounded, priority
    return 1.0, -rounded, price_usd, priority


def speed(response_time_ms: float | None) -> float:
    """1 for an instant answer, a half at two seconds, towards 0 for slow ones.

    1 also before the first answer: what has not been measured is tried, or it never would be.
    """
    return _MEDIUM_RESPONSE_MS / (_MEDIUM_RESPONSE_MS + (response_time_ms or 0.0))
