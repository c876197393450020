"""moto's server, a second stand-in for AWS that shares no code with MiniStack."""

import os
import sys
from pathlib import Path
from typing import Self

from tools.ministack import LocalAws
from tools.processes import ChildProcess, ambient_environment, free_port, is_listening
from tools.signature import AccessKey

_START_TIMEOUT_S = 60.0


class Moto:
    """moto's server on a free loopback port. It keeps nothing when it ends, and takes any access key."""

    def __init__(self, directory: Path) -> None:
        """Start it and wait until it answers. `directory` takes its log."""
        port = free_port()
        self.aws = LocalAws(f"http://127.0.0.1:{port}", AccessKey("111122223333", "any"))
        env = {**ambient_environment(), **self.aws.environment, "HOME": os.devnull}
        command = [sys.executable, "-m", "tests.serve_moto", str(port)]
        self.process = ChildProcess("moto", command, env, directory / "moto.log")
        try:
            self.process.wait_until(lambda: is_listening(port), _START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        """Stop it at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self.process.stop()
