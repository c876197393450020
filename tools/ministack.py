"""MiniStack, which stands in for AWS."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import boto3

from tools.processes import ROOT, ChildProcess, free_port

EXECUTABLE = ROOT / ".tools" / "ministack" / "bin" / "ministack"
REGION = "us-east-1"
SDK_VARIABLES = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    # A user's own profiles must not be read.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What an AWS SDK needs besides an endpoint. MiniStack takes any key."""
_START_TIMEOUT_S = 60.0


def session() -> boto3.Session:
    """A boto3 session with MiniStack's region and credentials, whatever the environment says."""
    return boto3.Session(region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")  # noqa: S106  as above


class MiniStack:
    """A MiniStack on a loopback port. It keeps nothing when it ends."""

    def __init__(self, directory: Path, *, port: int | None = None, host: str = "127.0.0.1") -> None:
        """Start it and wait until it answers.

        `directory` takes its log and temporary files. `host` is the interface it listens on.
        Raises FileNotFoundError if it is not installed, ProcessFailedError if it does not start.
        """
        if not EXECUTABLE.exists():
            raise FileNotFoundError(f"{EXECUTABLE.relative_to(ROOT)} is missing: `make tools` installs it")
        self.port = port or free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        directory.mkdir(parents=True, exist_ok=True)
        self._temporary = TemporaryDirectory(prefix="ministack-", dir=directory)
        temporary = Path(self._temporary.name)
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINISTACK_"))},
            **self.environment,
            "BIND_HOST": host,
            "GATEWAY_PORT": str(self.port),
            "LOG_LEVEL": "WARNING",
            "TMPDIR": str(temporary),
            "S3_DATA_DIR": str(temporary / "s3"),
            "STATE_DIR": str(temporary / "state"),
            # Docker is not asked for, even where there is one.
            "DOCKER_HOST": "unix:///nonexistent",
            "LAMBDA_EXECUTOR": "local",
        }
        self.process = ChildProcess("MiniStack", [EXECUTABLE], env, directory / "ministack.log")
        try:
            self.process.wait_until(self._answers, _START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an AWS SDK at it, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            **SDK_VARIABLES,
        }

    def __enter__(self) -> Self:
        """Stop it at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and what it started, and remove what it kept."""
        self.process.stop()
        self._temporary.cleanup()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/health", timeout=5) as answer:  # noqa: S310  http, to ourselves
                return isinstance(json.load(answer), dict)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
