"""An environment for each client: its pinned packages in a folder of their own, made once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.compat.clients import Client
from tools.processes import ROOT, ambient_environment

type Command = Sequence[str | Path]

ENVIRONMENTS = ROOT / ".tools" / "compat"
_UV = ROOT / ".tools" / "uv" / "bin" / "uv"
_INSTALL_TIMEOUT_S = 900
_OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# What package clients are told by the user of registries and caches.
_REGISTRY_SETTINGS = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_")


class EnvironmentMissingError(Exception):
    """The client can't be installed here. The message says why, for the table."""


def environment(client: Client) -> Path:
    """The folder of the client's packages, installed if they are not there; raises EnvironmentMissingError."""
    folder = ENVIRONMENTS / client.name
    stamp = folder / "installed.json"
    wanted = json.dumps([client.language, *client.packages, *client.pythons])
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    if client.language == "python":
        _install_python(client, folder)
    else:
        _install_node(client, folder)
    stamp.write_text(wanted)
    return folder


def programs(client: Client, folder: Path) -> Path:
    """Where an environment has its programs."""
    return folder / "bin" if client.language == "python" else folder / "node_modules" / ".bin"


def _install_python(client: Client, folder: Path) -> None:
    for version in client.pythons:
        wanted = sys.executable if version == _OWN_VERSION else version
        # Programs find their Python beside them, wherever the checkout is moved to or linked from.
        options = ["--quiet", "--no-python-downloads", "--relocatable"]
        made = run_installer([_UV, "venv", *options, "--python", wanted, folder], ROOT)
        if made.returncode == 0:
            break
    else:
        raise EnvironmentMissingError(f"takes Python {' or '.join(client.pythons)}, and there is none here")
    python = folder / "bin" / "python"
    _check(client, run_installer([_UV, "pip", "install", "--quiet", "--python", python, *client.packages], ROOT))


def _install_node(client: Client, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentMissingError("takes Node.js with npm, which is not installed here")
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    _check(client, run_installer([npm, "install", *options, *client.packages], folder))


def _check(client: Client, done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        raise EnvironmentMissingError(f"{', '.join(client.packages)} can't be installed here: {done.stderr[-2000:]}")


def run_installer(command: Command, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a package client, told what the user has told it of registries and caches, and nothing else."""
    settings = {name: value for name, value in os.environ.items() if name.startswith(_REGISTRY_SETTINGS)}
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    return subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={**ambient_environment(), **settings, **home},
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
