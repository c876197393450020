"""Child processes that end when their parent does, whatever ends it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

ROOT = Path(__file__).parent.parent
_PR_SET_PDEATHSIG = 1
# All that `make run` starts is gone within five seconds of Ctrl-C, and most takes none of this.
_STOP_TIMEOUT_S = 2.0
# What programs need to find others, to speak to the internet, and to write as the user reads.
_AMBIENT = {
    *("PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
}


class ProcessFailedError(RuntimeError):
    """A child ended early, or did not become ready in time."""


def _libc() -> ctypes.CDLL | None:
    """Looked up before the fork: between fork and exec nothing may be loaded."""
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildProcess:
    """A process in a group of its own, with its output in a log file.

    On Linux the kernel ends it with its parent. It must be started from a thread that lives as long as it should
    (prctl(2): the parent is the thread).
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str], log: Path, directory: Path = ROOT
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        libc = _libc()
        parent = os.getpid()

        def die_with_parent() -> None:
            if libc is None:
                return
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended between fork and prctl
                os._exit(1)

        output: IO[bytes]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=directory,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> Self:
        """Stop it at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait for `is_ready`; raises ProcessFailedError, with the end of the log, if the child ends or is too slow."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if self.has_ended:
                raise ProcessFailedError(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{self.name} was not ready after {timeout_s:.0f} s:\n{self.log_tail()}")
            time.sleep(0.05)
        if self.has_ended:  # what answered was something else
            raise ProcessFailedError(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")

    def wait(self) -> None:
        """Wait for the end; raises ProcessFailedError, with the end of the log, if it was not a success."""
        if self._process.wait() != 0:
            raise ProcessFailedError(f"{self.name} failed with {self._process.returncode}:\n{self.log_tail()}")

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the process wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Ask the process and its children to end, and end them if they do not."""
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(_STOP_TIMEOUT_S)
        except ProcessLookupError:  # the whole group is gone
            self._process.wait()
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process and its children at once."""
        with suppress(ProcessLookupError):  # the whole group is gone
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def ambient_environment() -> dict[str, str]:
    """What of this process's environment any program may see: nothing that could be a secret."""
    return {name: value for name, value in os.environ.items() if name.upper() in _AMBIENT}


def free_port() -> int:
    """A port on the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
