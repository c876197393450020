"""Which memory of the chat function is cheapest: Lambda gives a processor by it, and bills it by the millisecond.

The server runs in a control group of Linux that has as much of a processor as a function of that memory: 1,769 MB is
one (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). MiniStack and the provider are outside.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.markdown import table
from benchmarks.section import main
from benchmarks.server import Server, chat_server
from benchmarks.stage import MODELS, staged
from sluice.request_log.infrastructure import prices_for

_CONTROL = Path("/sys/fs/cgroup/cpu")
_MEMORIES_MB = (256, 512, 768, 1024, 1769)
_MB_OF_A_PROCESSOR = 1_769
_PERIOD_US = 10_000
_PROVIDER_S = 1.0
_MODEL = MODELS["openai_compatible"]
_NANOUSD_PER_REQUEST = 1_000  # a dollar for a million


def run(*, quick: bool) -> str:
    """Measure hits and misses with the processor of each memory, in turn."""
    if not (_CONTROL / "cpu.cfs_quota_us").parent.is_dir() or os.geteuid():
        return f"Not measured: it takes root, and Linux's control groups at {_CONTROL}."
    rounds = 3 if quick else 40
    times: dict[tuple[str, int], list[float]] = {}
    with staged() as stage, chat_server(stage) as server, httpx.Client(timeout=60) as client, _limited(server) as limit:
        kinds: dict[str, Callable[[], None]] = {
            "cache hit": lambda: _ask(client, server, "What is asked each time?"),
            "cache miss": lambda: _ask(client, server, f"What is {os.urandom(8).hex()}?"),
        }
        for number in range(rounds + 2):
            for memory_mb in _MEMORIES_MB:
                limit(memory_mb)
                for kind, ask in kinds.items():
                    begin_s = time.perf_counter()
                    ask()
                    if number >= 2:
                        times.setdefault((kind, memory_mb), []).append(time.perf_counter() - begin_s)
    rows: list[Sequence[str]] = []
    for (kind, memory_mb), found in times.items():
        own_s = statistics.median(found)
        provider_s = _PROVIDER_S if kind == "cache miss" else 0.0
        prices = prices_for(memory_mb, is_arm=True)
        nanousd = prices.function_request + prices.function_ms * math.ceil(1000 * (own_s + provider_s))
        dollars = nanousd / _NANOUSD_PER_REQUEST
        rows.append([kind, f"{memory_mb:,}", f"{1000 * own_s:.0f}", f"{dollars:.2f}"])
    return (
        f"Medians of {rounds} of each in turn. Of a miss, {_PROVIDER_S:g} s of waiting for a provider is billed as "
        "well. The processor of this machine is not Lambda's.\n\n"
        + table(["request", "memory, MB", "own time, ms", "Lambda, dollars a million"], sorted(rows, key=_order))
    )


def _order(row: Sequence[str]) -> tuple[str, int]:
    return row[0], int(row[1].replace(",", ""))


def _ask(client: httpx.Client, server: Server, question: str) -> None:
    body = {"model": _MODEL, "messages": [{"role": "user", "content": question}], "max_tokens": 200}
    answer = client.post(
        f"{server.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {server.api_key}"}
    )
    answer.raise_for_status()


@contextmanager
def _limited(server: Server) -> Iterator[Callable[[int], None]]:
    """A way to give the server the processor of a function of so many megabytes."""
    group = _CONTROL / f"sluice-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cgroup.procs").write_text(str(server.pid))
        yield lambda memory_mb: _give(group, memory_mb)
    finally:
        (_CONTROL / "cgroup.procs").write_text(str(server.pid))
        group.rmdir()


def _give(group: Path, memory_mb: int) -> None:
    (group / "cpu.cfs_quota_us").write_text(str(_PERIOD_US * memory_mb // _MB_OF_A_PROCESSOR))


if __name__ == "__main__":
    main(run)
