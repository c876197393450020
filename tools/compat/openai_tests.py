"""openai-python's own tests, from its source distribution or from a checkout, against the stack."""

import os
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.compat.clients import FOLDER, Client
from tools.compat.environments import Command, EnvironmentMissingError, run_installer
from tools.compat.exclusions import TestResult
from tools.processes import ROOT

TIMEOUT_S = 600
_PLUGIN = "openai_api_key"
_PYTHON_WITH_PIP = ROOT / ".tools" / "uv" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class TestSource:
    """A folder with the suite's tests, and where it is from."""

    __test__ = False

    folder: Path
    origin: str


def source(client: Client, folder: Path) -> TestSource:
    """The tests: those of the checkout in COMPAT_SOURCES, or of the source distribution, fetched into `folder`."""
    given = os.environ.get("COMPAT_SOURCES")
    if given:
        checkout = Path(given).expanduser() / "openai-python"
        if not (checkout / "tests").is_dir():
            raise EnvironmentMissingError(f"COMPAT_SOURCES has no openai-python with tests: {checkout}")
        commit = subprocess.run(
            ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        return TestSource(checkout, f"commit {commit}")
    return TestSource(_downloaded(client, folder), f"source distribution, sha256 {client.sha256}")


def _downloaded(client: Client, folder: Path) -> Path:
    name = f"openai-{client.version}"
    unpacked = folder / "source" / name
    if unpacked.is_dir():
        return unpacked
    shutil.rmtree(folder / "source", ignore_errors=True)
    (folder / "source").mkdir()
    wanted = folder / "source" / "requirements.txt"
    wanted.write_text(f"openai=={client.version} --hash=sha256:{client.sha256}\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "openai", "--require-hashes"]
    places: list[str | Path] = ["--requirement", wanted, "--dest", wanted.parent]
    done = run_installer([_PYTHON_WITH_PIP, "-m", "pip", "download", *options, *places], ROOT)
    archive = folder / "source" / f"{name}.tar.gz"
    if done.returncode != 0 or not archive.exists():
        raise EnvironmentMissingError(f"the source distribution can't be had: {done.stderr[-1000:]}")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "source", filter="data")
    return unpacked


def run_tests(
    command: Command, tests: TestSource, part: str, env: Mapping[str, str], directory: Path
) -> Sequence[TestResult]:
    """Run one file of tests. `command` is a Python with pytest, and options of it.

    `env` has OPENAI_API_KEY and TEST_API_BASE_URL; `directory` takes the report.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / f"{_PLUGIN}.py", directory)
    report = directory / "report.xml"
    report.unlink(missing_ok=True)
    # Its own options spread tests over processes and time them.
    options = [
        "-m",
        "pytest",
        "-p",
        _PLUGIN,
        "-p",
        "no:cacheprovider",
        "--override-ini",
        "addopts=",
        "--quiet",
        "--tb=line",
    ]
    done = subprocess.run(
        [command[0], *options, *command[1:], f"--junitxml={report}", part],
        cwd=tests.folder,
        env={**env, "PYTHONPATH": f"{directory}{os.pathsep}{tests.folder}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if not report.exists():
        return [TestResult(part, "failed", (done.stderr or done.stdout)[-300:])]
    return _results(report)


def _results(report: Path) -> Sequence[TestResult]:
    found = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # pytest has just written it
        name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}"
        ended = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        if ended is None:
            found.append(TestResult(name, "passed"))
        else:
            message = (ended.get("message") or "").partition("\n")[0]
            found.append(TestResult(name, "skipped" if ended.tag == "skipped" else "failed", message))
    return found
