"""A chat is answered without boto3, whose import and first client cost a quarter of a second of a cold start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import functions.chat.app
from sluice.providers.adapters import load_adapters
load_adapters()
print(*sorted(name for name in sys.modules if name.partition(".")[0] in {"boto3", "botocore", "s3transfer", "urllib3"}))
"""


def test_nothing_of_a_chat_loads_boto3() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(
        command, env={**environment, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    # Powertools asks whether there is a botocore, which loads its package and none of its modules.
    assert ended.stdout.split() == ["botocore"]
