"""`python -m tests.fakes [--port N] [--settings JSON]`: a fake provider as a process.

It prints {"port", "url"} when it listens, and ends with its parent.
"""

import argparse
import asyncio
import ctypes
import json
import os
import signal
import sys

from tests.fakes.server import FakeServer
from tests.fakes.settings import FakeSettings

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask Linux for SIGTERM when the parent ends; elsewhere the caller has to stop the process."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("the parent has ended")


async def serve(port: int, settings: FakeSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    server = FakeServer(settings)
    listener = await server.start(port)
    bound: int = listener.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"port": bound, "url": f"http://127.0.0.1:{bound}"}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    listener.close()
    await server.close_connections()


def main() -> None:
    """Parse the command line and serve."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="JSON, see tests/fakes/settings.py")
    arguments = parser.parse_args()
    die_with_parent(parent)
    asyncio.run(serve(arguments.port, FakeSettings.model_validate_json(arguments.settings)))


main()
