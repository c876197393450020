"""What a snapshot of the chat function holds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
# Importing the app must reach nobody: a connection would be in every copy of the process.
PROGRAM = """
import json, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(watch)
from functions.chat import app
from sluice.guards.scanner import scanner
from sluice.storage.tls import tls_context
made = {made.__name__: made.cache_info().currsize for made in (scanner, tls_context)}
made["parts"] = sorted(app.parts.__dict__.keys() & {"gateway", "ledger", "verifier"})
json.dump({"made": made, "imported": sorted({"groq", "httpx", "huggingface_hub"} & sys.modules.keys())}, sys.stdout)
"""


def _started(initialization_type: str) -> dict[str, Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")]),
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    started: dict[str, Any] = json.loads(ended.stdout)
    return started


def test_a_snapshot_holds_what_a_chat_needs_and_no_connection() -> None:
    started = _started("snap-start")
    assert started["made"] == {"parts": ["gateway", "ledger", "verifier"], "scanner": 2, "tls_context": 1}
    assert started["imported"] == ["groq", "httpx", "huggingface_hub"]


def test_without_a_snapshot_all_that_waits_until_it_is_needed() -> None:
    started = _started("on-demand")
    assert started["made"] == {"parts": [], "scanner": 0, "tls_context": 0}
    assert started["imported"] == []
