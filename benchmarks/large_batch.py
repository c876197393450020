"""What a batch of many lines takes beside one of few: time until it is taken in and shown, and a worker's memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from benchmarks.batch_stage import batching
from benchmarks.markdown import table
from benchmarks.section import main
from benchmarks.stage import MODELS, Stage
from tests.batch_workers import Workers
from tests.batches import Batches, jsonl, line

_LINES = (1_000, 10_000)
_ANSWERED = 200
"""Memory is read once so many lines were answered."""
_PATIENCE_S = 300


def run(*, quick: bool) -> str:
    """Send batches of 1,000 and 10,000 lines, of 100 and 1,000 if `quick`."""
    with batching() as stage:
        rows = [_send(stage, lines // 10 if quick else lines) for lines in _LINES]
    return (
        "A batch is uploaded and created, checked and split by one worker, which then answers its lines; memory is "
        f"the most that this worker had until {_ANSWERED} lines were answered.\n\n"
    ) + table(["lines", "file", "submission answers in", "its progress is shown after", "memory of the worker"], rows)


def _send(stage: Stage, lines: int) -> list[str]:
    functions = Batches(boto3.client("sqs"))
    functions.api_key = stage.key()
    asked = [line(f"line-{number}", model=MODELS["openai_compatible"]) for number in range(lines)]
    with Workers(stage.environment, 1) as workers:
        begin_s = time.monotonic()
        batch_id = functions.create(asked)["id"]
        submitted_s = time.monotonic() - begin_s
        _wait_until(functions, batch_id, lambda batch: batch["request_counts"]["total"] == lines)
        shown_s = time.monotonic() - begin_s
        answered = min(lines, _ANSWERED)
        _wait_until(functions, batch_id, lambda batch: batch["request_counts"]["completed"] >= answered)
        peak_kb = max(_peak_kb(pid) for pid in workers.pids)
        # The next one is not to wait behind it.
        functions.send(f"POST /v1/batches/{batch_id}/cancel")
        _wait_until(functions, batch_id, lambda batch: batch["status"] == "cancelled")
    size_mb = len(jsonl(asked)) / 1e6
    return [f"{lines:,}", f"{size_mb:.1f} MB", f"{submitted_s:.1f} s", f"{shown_s:.1f} s", f"{peak_kb / 1024:.0f} MB"]


def _wait_until(functions: Batches, batch_id: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    ends_at_s = time.monotonic() + _PATIENCE_S
    while not holds(functions.get(batch_id)):
        if time.monotonic() > ends_at_s:
            raise TimeoutError(f"the batch is at {functions.get(batch_id)['request_counts']}")
        time.sleep(0.1)


def _peak_kb(pid: int) -> int:
    for each in Path(f"/proc/{pid}/status").read_text().splitlines():
        if each.startswith("VmHWM:"):
            return int(each.split()[1])
    raise RuntimeError("Linux does not say how much memory the worker had")


if __name__ == "__main__":
    main(run)
