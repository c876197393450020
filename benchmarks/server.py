"""The chat function's server in a process of its own, as run.sh starts it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stage import Stage
from tools.processes import ROOT, ChildProcess, free_port, is_listening


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, an API key to it, and its process."""

    base_url: str
    api_key: str
    pid: int


@contextmanager
def chat_server(stage: Stage) -> Iterator[Server]:
    """Run it until the end of the block."""
    port = free_port()
    options = ["--loop", "asyncio", "--http", "h11", "--ws", "none", "--no-server-header", "--no-access-log"]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "app:asgi_app",
        *address,
        *options,
        "--log-level",
        "warning",
    ]
    directory = ROOT / "functions" / "chat"
    with (
        TemporaryDirectory(prefix="bench-") as logs,
        ChildProcess("Sluice", command, stage.environment, Path(logs) / "sluice.log", directory) as process,
    ):
        process.wait_until(lambda: is_listening(port), 60)
        yield Server(f"http://127.0.0.1:{port}/v1", stage.key(), process.pid)
