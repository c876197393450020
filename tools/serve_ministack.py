"""Serves MiniStack behind the gate: `python -m tools.serve_ministack`, by the interpreter of .tools/ministack.

GATEWAY_PORT is the loopback port, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are the run's credentials, and
SLUICE_FRONT_DOOR_TOKEN is the front door's token. With PERSIST_STATE=1, what is in STATE_DIR is there again.
"""

import asyncio
import os

import uvicorn
from ministack import app as ministack  # type: ignore[import-not-found]  # installed only in .tools/ministack
from ministack.core.persistence import (  # type: ignore[import-not-found]  # as above
    PERSIST_STATE,
    save_all,
)

from tools.gate import Admission, Gate
from tools.signature import AccessKey

# As MiniStack has it when it is started by itself.
_KEEP_ALIVE_S = 75
# How long requests under way may go on once this process is told to end.
_GRACEFUL_SHUTDOWN_S = 1
# What an end without notice may cost; MiniStack itself saves only when it is told to end.
_SAVE_INTERVAL_S = 15.0
# Where the front door's callers and the functions write. The rest is large, and changes with a deployment alone.
_DATA_SERVICES = frozenset({"dynamodb", "secretsmanager", "execute-api"})


def main() -> None:
    """Listen on the loopback interface and serve until told to end."""
    os.umask(0o077)
    port = int(os.environ["GATEWAY_PORT"])
    key = AccessKey(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    # Functions get this process's environment, and have no use for it.
    admission = Admission(port, key, os.environ.pop("SLUICE_FRONT_DOOR_TOKEN"))
    gate = Gate(ministack.app, admission)
    # Hypercorn, which MiniStack brings, takes four times as long for a request, more than MiniStack itself.
    config = uvicorn.Config(
        gate,
        host="127.0.0.1",
        port=port,
        http="httptools",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_S,
        log_level=os.environ["LOG_LEVEL"].lower(),
        access_log=False,
        server_header=False,
        date_header=False,
    )
    asyncio.run(_serve(gate, _Server(config)))


class _Server(uvicorn.Server):
    """A server whose process goes on once it has ended; uvicorn's own raises the signal again."""

    def handle_exit(self, sig: int, frame: object) -> None:
        """End in order."""
        self.should_exit = True


async def _serve(gate: Gate, server: _Server) -> None:
    saving = asyncio.create_task(_save_regularly(gate)) if PERSIST_STATE else None
    await server.serve()
    if saving is not None and saving.done():
        saving.result()
    # MiniStack has saved its state. Its threads still wait for functions, and an orderly end would wait for them.
    os._exit(0)


async def _save_regularly(gate: Gate) -> None:
    while True:
        await asyncio.sleep(_SAVE_INTERVAL_S)
        asked = gate.take_asked_services()
        if asked:
            services = ministack._build_persistence_save_dict()
            is_data = asked <= _DATA_SERVICES
            save_all({name: state for name, state in services.items() if not is_data or name in _DATA_SERVICES})


if __name__ == "__main__":
    main()
