"""Cache policy: which requests may be served from the cache, and which answers it keeps. Pure."""

from enum import StrEnum


class CachePolicy(StrEnum):
    """Which requests share answers."""

    UNSAMPLED = "unsampled"
    """Those that state no temperature, or 0: a caller that states one above 0 asks for variety."""
    ALL = "all"
    OFF = "off"

    def covers(self, temperature: float | None, *, is_prompt_fixed: bool) -> bool:
        """Whether a request of this temperature shares answers.

        `is_prompt_fixed`: a task or an older system's path sets the temperature, so that it says nothing of what the
        caller wants.
        """
        if self is CachePolicy.UNSAMPLED:
            return is_prompt_fixed or not temperature
        return self is CachePolicy.ALL
