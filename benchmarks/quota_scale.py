"""What the quota ledger costs and how far it goes, simulated: a fleet's flows and expressions in virtual time."""

import multiprocessing
from dataclasses import dataclass, replace
from random import Random

from benchmarks.markdown import table
from benchmarks.quota_fleet import Figures, Fleet, Load, Reshaping, Scope
from benchmarks.section import main
from sluice.quota.limits import budget_limit, caller_limits, deployment_limit
from sluice.quota.windows import ROLLING_MINUTE

# No limit that a run could reach.
_ENDLESS = 10**14
# What it takes a minute's limit that is always in demand to come round.
CYCLE_S = (ROLLING_MINUTE.kept_slices + 1) * ROLLING_MINUTE.slice_ms / 1000
_QUICK_PROVIDER_S = (0.5, 1.0)
_NOTES = {
    "success_rate": 0.9877,
    "response_time_ms": 812.3,
    "prompt_ratio": 1.123,
    "prompt_overhead": 41.25,
    "completion_tokens": 431.5,
}


@dataclass(frozen=True, slots=True)
class Run:
    """A load, by the name that it has in the tables."""

    name: str
    load: Load


def _deployment_costs(random: Random) -> dict[str, int]:
    """700 tokens in the mean."""
    tokens = int(min(6_000, random.lognormvariate(6.4, 0.6)))
    return {"requests_per_minute": 1, "tokens_per_minute": tokens, "requests_per_day": 1, "tokens_per_day": tokens}


def _key_costs(_: Random) -> dict[str, int]:
    return {"requests_per_minute": 1, "requests_per_day": 1}


def _budget_costs(random: Random) -> dict[str, int]:
    """$0.0007 in the mean."""
    return {"nanousd_per_month": int(random.lognormvariate(13.3, 0.6))}


def deployment(requests: int = _ENDLESS, tokens: int = _ENDLESS) -> Scope:
    """A deployment with four limits."""
    capacities = {"requests_per_minute": requests, "tokens_per_minute": tokens}
    names = _deployment_costs(Random(1))
    return Scope(
        "deployment#groq-1#llama-3.1-8b-instant",
        tuple(deployment_limit(name, capacities.get(name, _ENDLESS)) for name in names),
        _deployment_costs,
        ("tokens_per_minute", "tokens_per_day"),
        _NOTES,
    )


def key(requests: int = _ENDLESS) -> Scope:
    """An API key: a minute that rolls and a day of the calendar."""
    return Scope("caller#physics#7f3a9c1e5b2d", caller_limits(requests, _ENDLESS), _key_costs)


def budget(nanousd: int = _ENDLESS) -> Scope:
    """A tenant's budget."""
    return Scope("tenant#physics", (budget_limit(nanousd),), _budget_costs, ("nanousd_per_month",))


def _full(scope: Scope, rate: float, seconds: float, shards: int = 1) -> Load:
    return Load((scope,), rate, seconds, warm_s=3.0, full_rate=rate, shards=shards)


ITEM = [
    Run("deployment, 400/s", _full(deployment(), 400, 10)),
    Run("key, 900/s", _full(key(), 900, 10)),
    Run("budget, 450/s", _full(budget(), 450, 10)),
    Run("deployment, 400/s, clocks ±100 ms", replace(_full(deployment(), 400, 10), skew_ms=100)),
]
SELDOM = [
    Run(f"deployment, {rate}/s", Load((deployment(),), rate, 1_500 / rate, warm_s=60, instances=8))
    for rate in (0.1, 0.5, 1, 5)
]
_BUSY = Load((deployment(requests=3_000),), 60, 2 * CYCLE_S, warm_s=CYCLE_S)
USE = [
    Run("3,000 requests a minute, 1.2 times offered", _BUSY),
    Run("the same, clocks ±300 ms", replace(_BUSY, skew_ms=300)),
    Run("3,000 requests a minute, 6 times offered", replace(_BUSY, rate=300, seconds=CYCLE_S)),
    Run("1,000,000 tokens a minute, 1.5 times offered", replace(_BUSY, scopes=(deployment(tokens=1_000_000),))),
    Run(
        "the same, 2 % of processes die before they settle",
        replace(_BUSY, scopes=(deployment(tokens=1_000_000),), crashing=0.02),
    ),
    Run(
        "30,000 tokens a minute, 2 times offered",
        replace(_BUSY, scopes=(deployment(tokens=30_000),), rate=3, seconds=10 * CYCLE_S, instances=20),
    ),
]
# Begins with a full minute behind it, so that all of the run is measured.
_MINUTE_BEFORE = Load(
    (key(60_000),), 1_050, CYCLE_S, warm_s=3, provider_s=_QUICK_PROVIDER_S, full_rate=60_000 / CYCLE_S
)
_KEY = Load((key(6_000),), 120, CYCLE_S, warm_s=CYCLE_S, provider_s=_QUICK_PROVIDER_S)
SHARDS = [
    Run("key, 1,000/s, 4 shards", _full(key(), 1_000, 6, 4)),
    Run("budget, 1,000/s, 4 shards", _full(budget(), 1_000, 6, 4)),
    Run("deployment, 1,000/s, 4 shards", _full(deployment(), 1_000, 6, 4)),
    Run(
        "key of 60,000 a minute and its tenant's budget, 1,050/s, spread as they need",
        replace(_MINUTE_BEFORE, scopes=(key(60_000), budget()), is_spreading=True),
    ),
    Run("key of 6,000 a minute, 4 shards, 3 times offered", replace(_KEY, scopes=(key(6_000),), rate=300, shards=4)),
    Run(
        "1,000,000 tokens a minute, 4 shards, 1.5 times offered",
        replace(_BUSY, scopes=(deployment(tokens=1_000_000),), shards=4),
    ),
    Run("budget of $1, 4 shards, 3 times offered", Load((budget(10**9),), 300, 20, shards=4)),
]


def changing(steps: int | None) -> Load:
    """A key of 6,000 a minute whose shards are changed three times; those who do so die after so many steps."""
    changes = [
        Reshaping(at_s, shards, steps) for at_s, shards in ((CYCLE_S + 10, 4), (CYCLE_S + 30, 1), (CYCLE_S + 45, 8))
    ]
    return replace(_KEY, scopes=(key(6_000),), rate=120, reshapings=tuple(changes))


CHANGES = [
    Run("1, 4, 1, 8 shards", changing(None)),
    *(Run(f"the same, whoever changes them dies after {steps} steps", changing(steps)) for steps in (2, 3, 5, 9)),
    Run(
        "1,000,000 tokens a minute, 1 to 4 shards",
        replace(_BUSY, scopes=(deployment(tokens=1_000_000),), reshapings=(Reshaping(CYCLE_S + 20, 4),)),
    ),
]


def figures(run: Run) -> Figures:
    """Simulate a run."""
    return Fleet(run.load).run()


def run(*, quick: bool) -> str:
    """All tables; `quick` simulates a tenth of the time, which says nothing of a minute."""
    groups = [ITEM, SELDOM, USE, SHARDS, CHANGES]
    if quick:
        groups = [[_shortened(each) for each in group[:1]] for group in groups]
    flat = [each for group in groups for each in group]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = dict(zip((each.name for each in flat), pool.map(figures, flat, chunksize=1), strict=True))
    item, seldom, use, shards, changes = ([(each.name, found[each.name]) for each in group] for group in groups)
    cost_head = ["", "writes", "units", "reads", "largest item, bytes", "ms, median", "ms, 99 %", "requests/s an item"]
    use_head = ["", "admitted/s", "writes", "reads", "shards", "used", "overshoot"]
    return "\n\n".join(
        [
            "The ledger's own flows and expressions run in virtual time on a DynamoDB in memory that charges by size, "
            "throttles an item at 1,000 units a second and answers after 5 ms; each instance serves one request at a "
            "time. Figures are per admitted request; the milliseconds are until it is reserved; `overshoot` is what "
            "the provider counted over the limit in any stretch or clock minute.",
            table(cost_head, [_cost(*each) for each in (*item, *seldom)]),
            table(use_head, [_use(*each) for each in (*use, *shards, *changes)]),
        ]
    )


def _shortened(each: Run) -> Run:
    load = each.load
    return Run(
        each.name, replace(load, seconds=min(4.0, load.seconds / 10), warm_s=min(load.warm_s, 2.0), reshapings=())
    )


def _cost(name: str, found: Figures) -> list[str]:
    return [
        name,
        f"{found.writes:.2f}",
        f"{found.units:.2f}",
        f"{found.reads:.2f}",
        str(found.largest_bytes),
        f"{found.median_ms:.0f}",
        f"{found.p99_ms:.0f}",
        f"{found.requests_per_s_an_item:.0f}",
    ]


def _use(name: str, found: Figures) -> list[str]:
    used = f"{found.used:.1%}" if found.used else ""
    row = [name, f"{found.admitted_per_s:.1f}", f"{found.writes:.2f}", f"{found.reads:.2f}", str(found.shards), used]
    return [*row, str(found.overshoot)]


if __name__ == "__main__":
    main(run)
