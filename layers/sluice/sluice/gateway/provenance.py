"""Provenance of an answer: who gave it, how, and at what cost. An object inside; headers once, at the edge."""

import re
from collections.abc import Iterator
from decimal import Decimal

from sluice.loading.dataclass import dataclass

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """A caller's limit of requests, and what is left of it; `reset_s` is when all of them are free again."""

    limit: int
    remaining: int
    reset_s: float

    def headers(self) -> dict[str, str]:
        """As OpenAI and Groq name them: `x-ratelimit-limit-requests` and its like."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(max(0, self.remaining)),
            "x-ratelimit-reset-requests": f"{max(0.0, self.reset_s):g}s",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How an answer came about. None, and no flags, are left out of the headers.

    `deployment` is `<credential>#<model>`, `cache` is "hit", "miss" or "skipped", `attempts` how many deployments were
    asked. `provider` is None for a cached answer of a credential that is gone. What guard models cost is not in
    `cost_usd`.
    """

    request_id: str
    deployment: str | None = None
    provider: str | None = None
    model: str | None = None
    complexity: str | None = None
    cache: str | None = None
    attempts: int | None = None
    cost_usd: Decimal | None = None
    flagged_rules: tuple[str, ...] = ()
    guard_cost_usd: Decimal | None = None
    guard_ms: int | None = None
    caller_limit: RequestLimit | None = None

    @property
    def is_cached(self) -> bool:
        """Whether no model was asked for it."""
        return self.cache == "hit"

    def fields(self) -> dict[str, str | None]:
        """By name, as text."""
        return {
            "request_id": self.request_id,
            "deployment": self.deployment,
            "model": self.model,
            "complexity": self.complexity,
            "cache": self.cache,
            "attempts": None if self.attempts is None else str(self.attempts),
            "cost_usd": None if self.cost_usd is None else f"{self.cost_usd:f}",
            "guard_flags": ",".join(self.flagged_rules) or None,
            "guard_cost_usd": None if self.guard_cost_usd is None else f"{self.guard_cost_usd:f}",
            "guard_ms": None if self.guard_ms is None else str(self.guard_ms),
        }

    def headers(self) -> dict[str, str]:
        """As `x-sluice-*`, and the caller's limit as `x-ratelimit-*`."""
        return {**dict(self._headers()), **(self.caller_limit.headers() if self.caller_limit else {})}

    def _headers(self) -> Iterator[tuple[str, str]]:
        for name, text in self.fields().items():
            if text is not None:
                # A line break would start a header of its own, and not every server refuses one.
                yield f"x-sluice-{name.replace('_', '-')}", _NOT_PRINTABLE.sub("?", text)


def request_id_headers(request_id: str) -> dict[str, str]:
    """The id under Sluice's own name, and under the one that OpenAI's clients look for."""
    return {"x-sluice-request-id": request_id, "x-request-id": request_id}
