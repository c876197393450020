"""Which deployment is best. Pure."""

from dataclasses import dataclass

# The response time at which half of the marks for speed are gone, and what is assumed before the first answer.
_MEDIUM_RESPONSE_MS = 2000.0


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


def speed(response_time_ms: float | None) -> float:
    """1 for an instant answer, a half at two seconds or when nothing is known, towards 0 for slow ones."""
    known = _MEDIUM_RESPONSE_MS if response_time_ms is None else response_time_ms
    return _MEDIUM_RESPONSE_MS / (_MEDIUM_RESPONSE_MS + known)
