"""CPU time of other processes, as Linux counts it in /proc."""

import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

_LISTENING = "0A"
_PROC = Path("/proc")
# Of /proc/PID/stat, behind the name in brackets: utime and stime, and those of children that have ended.
_FIRST, _LAST = 11, 15


def cpu_s(pid: int) -> float:
    """The CPU time of a process and its children, in seconds."""
    ticks = 0
    for each in (pid, *_children(pid)):
        try:
            fields = (_PROC / str(each) / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        ticks += sum(map(int, fields[_FIRST:_LAST]))
    return ticks / os.sysconf("SC_CLK_TCK")


def listener_of(url: str) -> int | None:
    """The process of this machine that listens at a URL's port; None if there is none, or it is not to be seen."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        is_here = socket.gethostbyname(parts.hostname or "").startswith("127.")
    except OSError:
        return None
    inodes = (
        {inode for name in ("tcp", "tcp6") for inode in _listening(_PROC / "net" / name, port)} if is_here else set()
    )
    return next((pid for pid in _pids() if inodes & _sockets(pid)), None)


def _listening(path: Path, port: int) -> list[str]:
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _pids() -> list[int]:
    return sorted(int(each.name) for each in _PROC.iterdir() if each.name.isdigit()) if _PROC.exists() else []


def _sockets(pid: int) -> set[str]:
    found = set()
    try:
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                found.add(match[1])
    except OSError:
        pass  # it has ended, or is somebody else's
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list((_PROC / str(pid) / "task").iterdir())
        direct = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return []
    return [*direct, *[each for child in direct for each in _children(child)]]
