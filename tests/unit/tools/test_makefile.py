"""What the Makefile makes of what people type, and of what is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.processes import ROOT


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the Makefile, where nothing is installed."""
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    command = [shutil.which("make") or "make", *arguments]
    # Of the make that may be running these tests, too.
    unset = {"PORT", "HOST", "KEEP", "PARAMS", "MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS"}
    env = {name: value for name, value in os.environ.items() if name not in unset} | variables
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_without_python_3_13_the_way_to_it_is_said(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("rm", "touch"):
        (programs / name).symlink_to(shutil.which(name) or name)
    result = make(tmp_path, ".tools/uv/bin/uv", PATH=str(programs))
    assert result.returncode != 0
    assert "Python 3.13 is needed, as python3.13, and is not on the path." in result.stderr
    assert "uv python install 3.13" in result.stderr
    assert "installing uv" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "options"),
    [
        ([], {}, ""),
        (["PORT=8081"], {}, "--port '8081'"),
        ([], {"PORT": "8081"}, "--port '8081'"),
        (["HOST=0.0.0.0"], {}, "--host '0.0.0.0'"),
        ([], {"HOST": "a-name-that-some-shells-set"}, ""),
        (["KEEP=1"], {}, "--keep"),
        (["KEEP=0"], {}, ""),
        (["PARAMS=CacheTtlSeconds=60 CachePolicy=all"], {}, "--params 'CacheTtlSeconds=60 CachePolicy=all'"),
        ([], {"PARAMS": "JwtIssuer=http://localhost:8081"}, "--params 'JwtIssuer=http://localhost:8081'"),
        (["PORT=8081", "HOST=192.168.1.20", "KEEP=1"], {}, "--port '8081' --host '192.168.1.20' --keep"),
    ],
)
def test_run_is_told_what_was_typed_and_serves_no_network_unasked(
    arguments: list[str], variables: dict[str, str], options: str, tmp_path: Path
) -> None:
    result = make(tmp_path, "--dry-run", "run", *arguments, **variables)
    [command] = [line for line in result.stdout.splitlines() if "tools.run" in line]
    assert command.partition("tools.run")[2].split() == options.split()
