"""Processes that answer batches until they are killed: `python -m tests.batch_workers`.

Each takes messages of both queues as SQS's event source mappings do, one at a time, and has ended before a message that
it holds is given to another.
"""

import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping

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


def work() -> None:
    """Take messages for ever."""
    app = App.from_environment()
    api = BatchLineApi(LINE_ROUTES, app)
    worker, jobs = (
        LineWorker(app.batch_stores, api, app.batch_senders.find),
        Jobs(app.batch_stores, api, app.batch_senders.find),
    )
    sqs = boto3.client("sqs")
    handlers: Mapping[str, Callable[[str], None]] = {
        "BATCH_LINES_QUEUE": lambda body: worker.work(read_lines(body), time.monotonic() + _FUNCTION_S),
        "BATCH_JOBS_QUEUE": lambda body: jobs.do(read_job(body)),
    }
    while True:
        for variable, handle in handlers.items():
            url = os.environ[variable]
            received = sqs.receive_message(QueueUrl=url, VisibilityTimeout=_VISIBILITY_S, WaitTimeSeconds=0)
            for message in received.get("Messages", []):
                try:
                    handle(message["Body"])
                except Exception:  # noqa: BLE001
                    # As with Lambda, whatever was raised: the message comes again when it is visible.
                    traceback.print_exc()
                    continue
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def run_and_kill(
    environment: Mapping[str, str], is_over: Callable[[], bool], *, workers: int, kills: int, within_s: float
) -> int:
    """Run workers until it is over, and kill some of them, each at a moment nobody knows. Returns how many were killed.

    Those that are killed are replaced, as are those that end by themselves. Raises TimeoutError.
    """
    chance = random.Random()

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.batch_workers"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    running = [start() for _ in range(workers)]
    ends_at_s, next_kill_s, killed = time.monotonic() + within_s, time.monotonic() + 6, 0
    try:
        while not is_over():
            if time.monotonic() > ends_at_s:
                raise TimeoutError("the workers are not done")
            if killed < kills and time.monotonic() > next_kill_s:
                index = chance.randrange(workers)
                running[index].send_signal(signal.SIGKILL)
                running[index].wait()
                running[index] = start()
                killed += 1
                next_kill_s = time.monotonic() + chance.uniform(1.5, 4)
            running = [process if process.poll() is None else start() for process in running]
            time.sleep(0.25)
    finally:
        for process in running:
            process.kill()
            process.wait()
    return killed


if __name__ == "__main__":
    work()
