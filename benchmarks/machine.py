"""Where and with what the numbers were measured."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

_PACKAGES = ("boto3", "aws-lambda-powertools", "pydantic", "starlette", "groq", "huggingface-hub")


def description() -> str:
    """One paragraph: processor, cores, load, Python, versions, date."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return (
        f"{_processor()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f} at the start), "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {versions}."
    )


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown processor"
