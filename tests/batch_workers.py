"""Processes that answer batches until they are killed: `python -m tests.batch_workers`.

Each takes messages of both queues as SQS's event source mappings do, one at a time, and has ended before a message that
it holds is given to another.
"""

import os
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Self

import boto3

from functions.batch_worker.app import LINE_ROUTES
from sluice.api.batch_lines import BatchLineApi
from sluice.batches.jobs import Jobs
from sluice.batches.messages import read_job, read_lines
from sluice.batches.worker import LineWorker
from sluice.composition import App

_FUNCTION_S = 16.0
"""How long a message may take; a line is claimed for a little less."""
_VISIBILITY_S = 18
_PAUSE_S = 0.2


def work() -> None:
    """Take messages for ever."""
    app = App.from_environment()
    api = BatchLineApi(LINE_ROUTES, app)
    worker, jobs = (
        LineWorker(app.batch_stores, api, app.batch_senders.find),
        Jobs(app.batch_stores, api, app.batch_senders.find, app.webhook_announcer),
    )
    sqs = boto3.client("sqs")
    handlers: Mapping[str, Callable[[str], None]] = {
        "BATCH_LINES_QUEUE": lambda body: worker.work(read_lines(body), time.monotonic() + _FUNCTION_S),
        "BATCH_JOBS_QUEUE": lambda body: jobs.do(read_job(body)),
    }
    while True:
        is_idle = True
        for variable, handle in handlers.items():
            url = os.environ[variable]
            received = sqs.receive_message(QueueUrl=url, VisibilityTimeout=_VISIBILITY_S, WaitTimeSeconds=0)
            for message in received.get("Messages", []):
                is_idle = False
                try:
                    handle(message["Body"])
                except Exception:  # noqa: BLE001
                    # As with Lambda, whatever was raised: the message comes again when it is visible.
                    traceback.print_exc()
                    continue
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if is_idle:  # messages of who was killed are visible again only after a while
            time.sleep(_PAUSE_S)


class Workers:
    """Worker processes, while the block lasts. Those that end by themselves are replaced when `tend` is called."""

    def __init__(self, environment: Mapping[str, str], count: int) -> None:
        self._environment = environment
        self._count = count
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start them."""
        self._running = [self._start() for _ in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        """Leave none behind."""
        for process in self._running:
            process.kill()
            process.wait()

    @property
    def pids(self) -> list[int]:
        """The processes that run."""
        return [process.pid for process in self._running]

    def tend(self) -> None:
        """Replace those that have ended."""
        self._running = [process if process.poll() is None else self._start() for process in self._running]

    def kill_one(self, chance: random.Random) -> None:
        """Kill one in the midst of what it does, and start another in its place."""
        process = chance.choice(self._running)
        process.kill()
        process.wait()
        self.tend()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.batch_workers"]
        return subprocess.Popen(command, env=dict(self._environment), stdout=subprocess.DEVNULL)


def run_and_kill(
    environment: Mapping[str, str], is_over: Callable[[], bool], *, workers: int, kills: int, within_s: float
) -> int:
    """Run workers until it is over, and kill some of them, each at a moment nobody knows. Returns how many were killed.

    Raises TimeoutError.
    """
    chance = random.Random()
    ends_at_s, next_kill_s, killed = time.monotonic() + within_s, time.monotonic() + 4, 0
    with Workers(environment, workers) as running:
        while not is_over():
            if time.monotonic() > ends_at_s:
                raise TimeoutError("the workers are not done")
            if killed < kills and time.monotonic() > next_kill_s:
                running.kill_one(chance)
                killed += 1
                next_kill_s = time.monotonic() + chance.uniform(1, 2.5)
            running.tend()
            time.sleep(0.25)
    return killed


if __name__ == "__main__":
    work()
