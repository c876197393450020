"""Ledgers of tests, at a time that tests set, and what their table has."""

from typing import Any

from sluice.quota.circuit import USUAL_BREAKER, Breaker
from sluice.quota.item import QuotaItem
from sluice.quota.ledger import Ledger
from sluice.quota.limits import caller_limits, deployment_limit
from sluice.storage.client import dynamodb
from tests.conftest import Aws
from tests.counted import counted
from tests.fakes.dynamodb import TrustingClient

REQUESTS = deployment_limit("requests_per_minute", 10)
TOKENS = deployment_limit("tokens_per_minute", 1_000)
DAY = caller_limits(1_000, 50)[1]
LIMITS = (REQUESTS, TOKENS)
COSTS = {"requests_per_minute": 1, "tokens_per_minute": 300}
ONE = {"requests_per_minute": 1}


class Clock:
    """A clock that stands still until it is moved."""

    # Ahead of now: MiniStack deletes what has expired, by its own clock.
    def __init__(self, seconds: float = 1_890_000_000.5) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.seconds


def process(aws: Aws, clock: Clock, breaker: Breaker = USUAL_BREAKER) -> Ledger:
    """A ledger that has seen nothing, and believes `clock`."""
    return Ledger(aws.table("QUOTA_TABLE"), clock, client=TrustingClient(dynamodb()), breaker=breaker)


def item_of(aws: Aws, scope: str) -> dict[str, Any]:
    """The item of a scope as it is, {} if there is none."""
    found = [item for item in aws.items("QUOTA_TABLE") if item["scope"]["S"] == scope]
    return found[0] if found else {}


def used(aws: Aws, scope: str) -> dict[str, int]:
    """Totals by limit; each must be what its slots add up to."""
    return counted(QuotaItem(item_of(aws, scope))).totals
