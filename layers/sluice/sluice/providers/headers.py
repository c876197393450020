"""Rate-limit headers, read leniently: what is missing or no number says nothing."""

import math
from collections.abc import Mapping

from sluice.providers.base import RateLimitHeaders

# Groq: requests are the day's, tokens the minute's (https://console.groq.com/docs/rate-limits#rate-limit-headers).
GROQ_DIMENSIONS = {"requests": "requests_per_day", "tokens": "tokens_per_minute"}


def rate_limits(headers: Mapping[str, str], dimensions: Mapping[str, str]) -> RateLimitHeaders:
    """What `x-ratelimit-limit-*` and `x-ratelimit-remaining-*` say, by limit name."""
    capacities: dict[str, int] = {}
    remaining: dict[str, int] = {}
    for word, limit in dimensions.items():
        for kind, found in (("limit", capacities), ("remaining", remaining)):
            count = _count(headers.get(f"x-ratelimit-{kind}-{word}"))
            if count is not None:
                found[limit] = count
    return RateLimitHeaders(capacities, remaining)


def _count(text: str | None) -> int | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return math.floor(number) if math.isfinite(number) and number >= 0 else None
