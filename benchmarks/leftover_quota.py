"""How much of the leftover quota a batch uses, and whether callers who wait ever notice it.

Workers answer a batch through its queues, as functions do, while callers ask with less than the share that is theirs.
"""

import time
from dataclasses import dataclass

import boto3
import httpx

from benchmarks.batch_stage import SHARE_PERCENT, batching
from benchmarks.markdown import table
from benchmarks.section import main
from benchmarks.server import chat_server
from benchmarks.stage import Stage
from tests.batch_workers import Workers
from tests.batches import Batches, line
from tests.race import CYCLE_S, utilisation

_MODEL = "bench-shared"
_CAPACITY = 60
_ASKED_PER_MINUTE = 8
"""By callers who wait: less than their share of twelve."""
_CYCLES = 4
_WORKERS = 3
_BUDGET = 0.96


@dataclass(frozen=True, slots=True)
class _Arrival:
    at_s: float
    is_batch: bool


def run(*, quick: bool) -> str:
    """Let a batch and callers share a key for some cycles of a minute, for three if `quick`."""
    cycles = 3 if quick else _CYCLES
    with batching() as stage:
        stage.spend_on({_MODEL: {"requests_per_minute": _CAPACITY}})
        _submit(stage.key(), _CAPACITY * (cycles + 2))
        statuses = _share(stage, cycles * CYCLE_S + 10)
        state, requests = stage.provider.state(), stage.provider.requests()
    arrivals = [
        _Arrival(float(str(each["monotonic_s"])), "line" in request["body"]["messages"][0]["content"])
        for each, request in zip(state["arrivals"], requests, strict=True)
    ]
    leftover = _CAPACITY - _CAPACITY * SHARE_PERCENT // 100 - _ASKED_PER_MINUTE
    # In the first minute the batch finds what callers have not asked for yet.
    begin_s = arrivals[0].at_s + CYCLE_S
    used = utilisation([(each.at_s, 1) for each in arrivals if each.is_batch and each.at_s >= begin_s], leftover)
    return (
        f"{_WORKERS} workers answer a batch on a key of {_CAPACITY} requests a minute, of which {SHARE_PERCENT} % "
        f"stay free for callers who wait, and such callers ask {_ASKED_PER_MINUTE} times a minute: "
        f"the leftover is {leftover}.\n\n"
    ) + table(
        ["asked by the batch", "by callers", "callers' 429s", "violations", "used of the leftover", "budget"],
        [
            [
                str(sum(each.is_batch for each in arrivals)),
                str(len(statuses)),
                str(statuses.count(429)),
                str(len(state["violations"])),
                f"{used:.1%}",
                f"{_BUDGET:.0%}: {'kept' if used >= _BUDGET else 'missed'}",
            ]
        ],
    )


def _submit(api_key: str, lines: int) -> None:
    functions = Batches(boto3.client("sqs"))
    functions.api_key = api_key
    functions.create([line(f"line-{number}", model=_MODEL) for number in range(lines)])


def _share(stage: Stage, seconds: float) -> list[int]:
    """Have workers answer for so long, and ask meanwhile as callers do. Returns what callers were answered."""
    statuses: list[int] = []
    with chat_server(stage) as server, Workers(stage.environment, _WORKERS):
        ends_at_s = time.monotonic() + seconds
        with httpx.Client(headers={"authorization": f"Bearer {server.api_key}"}, timeout=60) as client:
            while time.monotonic() < ends_at_s:
                body = {"model": _MODEL, "messages": [{"role": "user", "content": f"caller {len(statuses)}"}]}
                statuses.append(client.post(f"{server.base_url}/chat/completions", json=body).status_code)
                time.sleep(60 / _ASKED_PER_MINUTE)
    return statuses


if __name__ == "__main__":
    main(run)
