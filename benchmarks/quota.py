"""Whether a provider key's limits hold, and are used up, when several processes spend it at once."""

from benchmarks.markdown import table
from benchmarks.section import main
from benchmarks.stage import staged
from tests import race

_LIMITS = {
    "race-requests": {"requests_per_minute": 60},
    "race-tokens": {"tokens_per_minute": 12_000},
}
_UTILISATION_BUDGET = 0.96
_WORKERS = 4


def run(*, quick: bool) -> str:
    """Let processes race for two minutes. A minute's limit can't be watched for less, `quick` or not."""
    with staged() as stage:
        stage.spend_on(_LIMITS)
        seen = race.run(stage.environment, stage.provider, _LIMITS, _WORKERS)
    rows = []
    for model, capacities in _LIMITS.items():
        for limit, capacity in capacities.items():
            most = seen[model].most_in_any_minute[limit]
            utilisation = seen[model].utilisation[limit]
            # A limit of tokens is left with what is too little for one more request.
            budget = f"{_UTILISATION_BUDGET:.0%}" if limit == "requests_per_minute" else ""
            rows.append(
                [
                    f"{limit.replace('_', ' ')}: {capacity:,}",
                    str(seen[model].requests),
                    f"{most:,}",
                    f"{max(0, most - capacity):,}",
                    str(seen[model].violations),
                    f"{utilisation:.1%}",
                    budget and f"{budget}: {_verdict(utilisation)}",
                ]
            )
    return (
        f"{_WORKERS} processes of four threads spend one key for two minutes as fast as they are let. The fake "
        "provider watches any stretch of a minute, minutes of the clock, and a bucket refilled over a minute, and "
        "counts violations of any of them.\n\n"
        + table(
            ["limit", "requests", "most in any minute", "overshoot", "violations", "used of the limit", "budget"], rows
        )
    )


def _verdict(utilisation: float) -> str:
    if utilisation > 1:
        # Nothing was overshot, so the race took a part of a cycle for a whole one.
        return "not shown, more than whole cycles were counted"
    return "kept" if utilisation >= _UTILISATION_BUDGET else "missed"


if __name__ == "__main__":
    main(run)
