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


def anthropic_rate_limits(headers: Mapping[str, str]) -> RateLimitHeaders:
    """What Anthropic's headers say (https://platform.claude.com/docs/en/api/rate-limits#response-headers).

    It counts what is read and what is said apart. All together that stays within its limit of what is read stays within
    it too; what is said has no limit of its own here.
    """
    found: dict[str, dict[str, int]] = {"limit": {}, "remaining": {}}
    for kind, counts in found.items():
        words = (
            ("requests", "requests_per_minute"),
            ("tokens", "tokens_per_minute"),
            ("input-tokens", "tokens_per_minute"),
        )
        for word, limit in words:
            count = _count(headers.get(f"anthropic-ratelimit-{word}-{kind}"))
            if count is not None:
                counts[limit] = min(count, counts.get(limit, count))
    return RateLimitHeaders(found["limit"], found["remaining"])


def _count(text: str | None) -> int | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return math.floor(number) if math.isfinite(number) and number >= 0 else None
