"""Reads files in a process of its own, which has little time and memory, no credentials, and may die.

A file that is made to be slow, or large once it is unpacked, takes that process and nothing else.
"""

import json
import os
import resource
import subprocess
import sys

from sluice.knowledge.extraction import FileError, extract, is_light

MOST_BYTES = 50 * 1024 * 1024
"""How large a file may be."""
_TIMEOUT_S = 60
_MOST_MEMORY_BYTES = 768 * 1024 * 1024


def text_of(name: str, content: bytes, timeout_s: float = _TIMEOUT_S) -> str:
    """The text of a file. Raises FileError."""
    if is_light(name):
        return extract(name, content)
    command = [sys.executable, "-m", "sluice.knowledge.extraction", name]
    # Lambda puts layers on the path by itself, and for its own process only.
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
    try:
        done = subprocess.run(  # noqa: S603 -- our own interpreter; the name is an argument and nothing more
            command,
            input=content,
            capture_output=True,
            timeout=timeout_s,
            env=environment,
            preexec_fn=_bound,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FileError("invalid_file", f"Reading the file takes more than {timeout_s:g} s.") from None
    if done.returncode:
        raise FileError("invalid_file", "The file can't be read: it takes too much memory or time, or is broken.")
    answer = json.loads(done.stdout)
    if "text" not in answer:
        raise FileError(answer["code"], answer["message"])
    text: str = answer["text"]
    return text


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_TIMEOUT_S, _TIMEOUT_S))
    # No core of what a caller has sent is kept anywhere.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
