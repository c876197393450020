"""Response headers that say how an answer came about and what is left of the caller's limits."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an answer came about. None, and no flags, are left out of the headers."""

    request_id: str
    deployment: str | None = None
    model: str | None = None
    complexity: str | None = None
    cache: str | None = None
    attempts: int | None = None
    cost_usd: Decimal | None = None
    flagged_rules: tuple[str, ...] = ()

    def fields(self) -> dict[str, str | None]:
        """By name, as a log line has them."""
        return {
            "request_id": self.request_id,
            "deployment": self.deployment,
            "model": self.model,
            "complexity": self.complexity,
            "cache": self.cache,
            "attempts": None if self.attempts is None else str(self.attempts),
            "cost_usd": None if self.cost_usd is None else f"{self.cost_usd:f}",
            "guard_flags": ",".join(self.flagged_rules) or None,
        }

    def headers(self) -> dict[str, str]:
        """As `x-sluice-*`."""
        return dict(self._headers())

    def _headers(self) -> Iterator[tuple[str, str]]:
        for name, text in self.fields().items():
            if text is not None:
                # A line break would start a header of its own, and not every server refuses one.
                yield f"x-sluice-{name.replace('_', '-')}", _NOT_PRINTABLE.sub("?", text)


def new_request_id() -> str:
    """What a request is called in headers, logs and feedback."""
    return f"req_{uuid.uuid4().hex}"


def request_id_headers(request_id: str) -> dict[str, str]:
    """The id under Sluice's own name, and under the one that OpenAI's clients look for."""
    return {"x-sluice-request-id": request_id, "x-request-id": request_id}


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """What is left of a caller's requests; `reset_s` is when all of them are free again."""

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
