"""What AWS bills for a million requests of each kind, by units that are counted and times that are measured."""

import contextlib
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.asgi import Caller, Exchange
from benchmarks.markdown import table
from benchmarks.meter import Meter
from benchmarks.section import main
from benchmarks.stage import MODELS, staged
from sluice.request_log.infrastructure import InfrastructureCost, cost_of, prices_for

_ASKED_BEFORE = "What does a million of these cost?"
_PROVIDER_S = 1.0
_MEMORIES_MB = (512, 1024)
_NANOUSD_PER_REQUEST = 1_000  # a dollar for a million


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of request: how it is sent, and how long its provider takes."""

    name: str
    send: Callable[[], Exchange]
    provider_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Measured:
    """What one request took beside its provider."""

    own_s: float
    read_units: float
    write_units: float
    line_bytes: int


def run(*, quick: bool) -> str:
    """Send requests of each kind, and show what a million of them cost."""
    repeats = 5 if quick else 40
    with staged() as stage:
        stage.tenant("bench-budget", budget_usd_per_month=1000)
        keys = stage.key(), stage.key("bench-budget"), stage.key(requests_per_minute=1)
        meter = Meter()
        # Late, as it brings the app, whose loggers write to what is standard output then.
        from tests.chat_process import ChatProcess

        caller = Caller(ChatProcess())
        kinds = _kinds(caller, *keys)
        measured = {kind: _measure(kind, meter, repeats) for kind in kinds}
        caller.close()
    rows = [
        [kind.name, f"{memory_mb:,}", *_cells(_cost(kind, found, memory_mb))]
        for kind, found in measured.items()
        for memory_mb in _MEMORIES_MB
    ]
    return (
        f"Dollars for a million requests, by `shared/aws_prices.toml`, for arm64; medians of {repeats} requests of a "
        f"kind. A provider takes {_PROVIDER_S:g} s. Sluice's own time is that of this machine, which has more of a "
        "processor than a function of 1,024 MB (58 % of one) has.\n\n"
        + table(["request", "memory, MB", "Lambda", "API Gateway", "DynamoDB", "logs", "together"], rows)
    )


def _kinds(caller: Caller, usual: str, with_budget: str, spent: str) -> list[_Kind]:
    model = MODELS["openai_compatible"]
    caller.chat(usual, model, _ASKED_BEFORE)
    caller.chat(spent, model)
    return [
        _Kind("cache hit", lambda: caller.chat(usual, model, _ASKED_BEFORE)),
        _Kind("cache miss", lambda: caller.chat(usual, model), _PROVIDER_S),
        _Kind("cache miss, tenant's budget", lambda: caller.chat(with_budget, model), _PROVIDER_S),
        _Kind("caller out of requests", lambda: caller.chat(spent, model)),
    ]


def _measure(kind: _Kind, meter: Meter, repeats: int) -> _Measured:
    times, reads, writes, lines = [], [], [], []
    for _ in range(repeats):
        meter.take()
        logged = io.StringIO()
        with contextlib.redirect_stdout(logged):
            times.append(kind.send().total_s)
        lines.append(len(logged.getvalue().encode()))
        sent = meter.take()
        reads.append(sum(each.read_units for each in sent))
        writes.append(sum(each.write_units for each in sent))
    return _Measured(
        own_s=statistics.median(times),
        read_units=statistics.median(reads),
        write_units=statistics.median(writes),
        line_bytes=round(statistics.median(lines)),
    )


def _cost(kind: _Kind, found: _Measured, memory_mb: int) -> InfrastructureCost:
    prices = prices_for(memory_mb, is_arm=True)
    return cost_of(
        prices,
        found.own_s + kind.provider_s,
        read_units=found.read_units,
        write_units=found.write_units,
        line_bytes=found.line_bytes,
    )


def _cells(cost: InfrastructureCost) -> Sequence[str]:
    parts = (cost.function, cost.api, cost.dynamodb, cost.logs, float(cost.nanousd))
    return [f"{part / _NANOUSD_PER_REQUEST:.2f}" for part in parts]


if __name__ == "__main__":
    main(run)
