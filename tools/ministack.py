"""MiniStack, which stands in for AWS."""

import json
import os
import secrets
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

import boto3
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tools.kept import KeptState
from tools.processes import ROOT, ChildProcess, ambient_environment, free_port
from tools.signature import AccessKey

PYTHON = ROOT / ".tools" / "ministack" / "bin" / "python"
REGION = "us-east-1"
_START_TIMEOUT_S = 60.0
_ACCOUNT_ID_DIGITS = 12
# Name in a configuration file, variable, default, conversion: a user's own profiles are not looked for.
_NO_PROFILES: dict[str, tuple[Any, Any, Any, Any]] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


@dataclass(frozen=True, slots=True)
class LocalAws:
    """Where MiniStack answers, and the access key that it answers to."""

    endpoint_url: str
    key: AccessKey

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an AWS SDK at it, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.key.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            # A user's own profiles must not be read.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def session(self) -> boto3.Session:
        """A boto3 session with its region and access key, whatever the environment says."""
        return boto3.Session(
            botocore_session=botocore.session.Session(session_vars=_NO_PROFILES),
            region_name=REGION,
            aws_access_key_id=self.key.access_key_id,
            aws_secret_access_key=self.key.secret_access_key,
        )


class MiniStack:
    """A MiniStack behind its gate, on a free loopback port. It keeps nothing when it ends, unless it is told where."""

    def __init__(self, directory: Path, kept: KeptState | None = None) -> None:
        """Start it and wait until it answers.

        `directory` takes its log and temporary files.
        Raises FileNotFoundError if it is not installed, ProcessFailedError if it does not start.
        """
        if not PYTHON.exists():
            raise FileNotFoundError(f"{PYTHON.relative_to(ROOT)} is missing: `make tools` installs it")
        self.port = free_port()
        # MiniStack gives functions the account's number for an access key id, so that is what the access key is called.
        account_id = kept.before.account_id if kept and kept.before else _random_account_id()
        self.aws = LocalAws(f"http://127.0.0.1:{self.port}", AccessKey(account_id, secrets.token_urlsafe(30)))
        self.front_door_token = secrets.token_urlsafe(30)
        """Opens the gate to the deployed API, and to nothing else."""
        directory.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary = Path(mkdtemp(prefix="ministack-", dir=directory))
        self._keeps_state = kept is not None
        # Functions get all of this.
        env = {
            **ambient_environment(),
            **self.aws.environment,
            "MINISTACK_ACCOUNT_ID": account_id,
            "GATEWAY_PORT": str(self.port),
            "SLUICE_FRONT_DOOR_TOKEN": self.front_door_token,
            "LOG_LEVEL": "WARNING",
            "TMPDIR": str(temporary),
            "S3_DATA_DIR": str(temporary / "s3"),
            "STATE_DIR": str(temporary / "state"),
            # Nothing listens but what is behind the gate.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # Docker is not asked for, even where there is one.
            "DOCKER_HOST": "unix:///nonexistent",
            "LAMBDA_EXECUTOR": "local",
            # No stack on AWS can be told so: the API of Lambda's runtime is there.
            "TENANTS_REACH_LOOPBACK": "true",
            **(kept.variables if kept else {}),
        }
        self.process = ChildProcess(
            "MiniStack", [PYTHON, "-m", "tools.serve_ministack"], env, directory / "ministack.log"
        )
        try:
            self.process.wait_until(self._answers, _START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return self.aws.endpoint_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an AWS SDK at it, and nowhere else."""
        return self.aws.environment

    def __enter__(self) -> Self:
        """Stop it at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and what it started, once it has saved what is to be kept, and remove the rest."""
        if self._keeps_state:
            self.process.stop()
        else:
            self.process.kill()
        shutil.rmtree(self._temporary)

    def kill(self) -> None:
        """End it at once, without leaving it the time to save its state."""
        self.process.kill()

    def _answers(self) -> bool:
        url = f"{self.endpoint_url}/_ministack/health"
        probe = AWSRequest("GET", url)
        credentials = Credentials(self.aws.key.access_key_id, self.aws.key.secret_access_key)
        SigV4Auth(credentials, "execute-api", REGION).add_auth(probe)
        request = urllib.request.Request(url, headers=dict(probe.headers.items()))  # noqa: S310  http, to ourselves
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  as above
                return isinstance(json.load(answer), dict)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _random_account_id() -> str:
    lowest = 10 ** (_ACCOUNT_ID_DIGITS - 1)
    return str(lowest + secrets.randbelow(9 * lowest))
