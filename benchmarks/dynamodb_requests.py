"""How many DynamoDB requests a request takes, in how many round trips, and what they cost."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.asgi import Caller
from benchmarks.capacity import longest_chain
from benchmarks.markdown import table
from benchmarks.meter import Meter, Sent
from benchmarks.saturated_item import saturate
from benchmarks.section import main
from benchmarks.stage import MODELS, SCARCE_MODEL, Stage, staged

_ASKED_BEFORE = "How much is left of the day?"
_WRITE_UNIT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class _Keys:
    """API keys.

    One is let through, the tenant of two has a budget, one of them limits of spending of its own, and one may send a
    single request per minute.
    """

    usual: str
    with_budget: str
    with_own_budget: str
    spent: str


@dataclass(frozen=True, slots=True)
class _Case:
    """What is asked, what it must be answered, and the design's budget, if it has one.

    `spend`: ask it once more before, to use up what it is to be refused for.
    """

    name: str
    ask: Callable[[], int]
    status: int
    budget: str = ""
    spend: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """One request: what was sent before its provider was called, and after. Without a call, all of it is before."""

    before: Sequence[Sent]
    after: Sequence[Sent]

    @property
    def sent(self) -> list[Sent]:
        return [*self.before, *self.after]

    @property
    def pattern(self) -> tuple[tuple[str, int], ...]:
        """What was sent, however it was ordered."""
        counts = Counter(f"{each.table or 'secret'} {each.operation}{'*' * each.is_refused}" for each in self.sent)
        return tuple(sorted(counts.items()))


def run(*, quick: bool) -> str:
    """Ask each case some times, and show what was sent most often."""
    repeats = 3 if quick else 15
    with staged() as stage:
        stage.tenant("bench-budget", budget_usd_per_month=1000)
        limited = stage.key("bench-budget", budget_usd_per_month=100, tokens_per_minute=10**9, tokens_per_day=10**9)
        keys = _Keys(stage.key(), stage.key("bench-budget"), limited, stage.key(requests_per_minute=1))
        meter = Meter()
        # Late, as they bring the app, whose loggers write to what is standard output then.
        from tests.chat_process import ChatProcess

        process = ChatProcess()
        caller = Caller(process)
        cases = _cases(caller, keys, process.restart)
        rows = [_row(case, [_watch(stage, meter, case) for _ in range(repeats)]) for case in cases]
        caller.close()
        saturated = saturate(meter, "Quota")
    units = -(-saturated.size_bytes // _WRITE_UNIT_BYTES)
    return (
        f"What was sent most often in {repeats} requests of a kind, and the largest number in any of them; `*` marks a "
        "write whose condition was false. Round trips: the longest chain of requests that wait for one another, before "
        "the provider is called + after. Units of writes are as MiniStack reports them, those of reads and of refused "
        "writes computed from the item's size by AWS's rules.\n\n"
        + table(["", "requests", "at most", "round trips", "budget", "read units", "write units", "which"], rows)
        + f"\n\nA saturated deployment's item ({saturated.slots} slots of 4 limits) has {saturated.size_bytes:,} "
        f"bytes, {units} KB begun: reserving costs {saturated.reserve_units:g} write units, settling "
        f"{saturated.settle_units:g}."
    )


def _cases(caller: Caller, keys: _Keys, restart: Callable[[], None]) -> list[_Case]:
    model = MODELS["openai_compatible"]

    def cold() -> int:
        restart()
        return caller.chat(keys.usual, model).status

    caller.chat(keys.usual, model, _ASKED_BEFORE)
    return [
        _Case("first request of a process", cold, 200),
        _Case("cache hit", lambda: caller.chat(keys.usual, model, _ASKED_BEFORE).status, 200, "4 requests, 1 + 1"),
        _Case("cache miss", lambda: caller.chat(keys.usual, model).status, 200, "8 requests, 2 + 1"),
        _Case(
            "cache miss, streamed", lambda: caller.chat(keys.usual, model, stream=True).status, 200, "8 requests, 2 + 1"
        ),
        _Case("cache miss, tenant's budget", lambda: caller.chat(keys.with_budget, model).status, 200),
        _Case("cache miss, tenant's and key's budget", lambda: caller.chat(keys.with_own_budget, model).status, 200),
        _Case("caller out of requests", lambda: caller.chat(keys.spent, model).status, 429, spend=True),
        _Case(
            "deployment out of requests, another answers",
            lambda: caller.chat(keys.usual, SCARCE_MODEL).status,
            200,
            spend=True,
        ),
    ]


def _watch(stage: Stage, meter: Meter, case: _Case) -> _Seen:
    if case.spend:
        case.ask()
    meter.take()
    known = stage.provider.state()["requests"]
    status = case.ask()
    if status != case.status:
        raise RuntimeError(f"{case.name} was to be answered {case.status}, and was {status}")
    sent = meter.take()
    arrivals = stage.provider.state(known)["arrivals"]
    called_s = arrivals[0]["monotonic_s"] if arrivals else float("inf")
    return _Seen([each for each in sent if each.begin_s < called_s], [each for each in sent if each.begin_s > called_s])


def _row(case: _Case, seen: Sequence[_Seen]) -> list[str]:
    pattern, times = Counter(each.pattern for each in seen).most_common(1)[0]
    usual = [each for each in seen if each.pattern == pattern]
    chains = [
        [longest_chain((one.begin_s, one.end_s) for one in part) for part in (each.before, each.after)]
        for each in usual
    ]
    before, after = (min(lengths) for lengths in zip(*chains, strict=True))
    return [
        case.name,
        f"{len(usual[0].sent)} ({times} of {len(seen)})",
        str(max(len(each.sent) for each in seen)),
        f"{before} + {after}" if any(each.after for each in usual) else str(before),
        case.budget,
        f"{sum(one.read_units for one in usual[0].sent):g}",
        f"{sum(one.write_units for one in usual[0].sent):g}",
        ", ".join(name if count == 1 else f"{count} {name}" for name, count in pattern),
    ]


if __name__ == "__main__":
    main(run)
