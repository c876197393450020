"""Serves MiniStack behind the gate: `python -m tools.serve_ministack`, by the interpreter of .tools/ministack.

GATEWAY_PORT is the loopback port, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are the run's credentials, and
SLUICE_FRONT_DOOR_TOKEN is the front door's token.
"""

import asyncio
import os

from hypercorn.asyncio import serve  # type: ignore[import-not-found]  # installed only with MiniStack
from hypercorn.config import Config  # type: ignore[import-not-found]  # installed only with MiniStack
from ministack.app import app  # type: ignore[import-not-found]  # installed only in .tools/ministack

from tools.gate import Admission, Gate
from tools.signature import AccessKey

# As MiniStack has it when it is started by itself.
_KEEP_ALIVE_S = 75


def main() -> None:
    """Listen on the loopback interface and serve until told to end."""
    port = int(os.environ["GATEWAY_PORT"])
    key = AccessKey(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    # Functions get this process's environment, and have no use for it.
    admission = Admission(port, key, os.environ.pop("SLUICE_FRONT_DOOR_TOKEN"))
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = _KEEP_ALIVE_S
    config.loglevel = os.environ["LOG_LEVEL"]
    asyncio.run(serve(Gate(app, admission), config))


if __name__ == "__main__":
    main()
