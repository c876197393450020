"""The programs that README and the other pages show, run as a reader would, on the deployed stack."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeProcess
from tests.snippets import PROGRAMS, Snippet, snippets
from tools import docs
from tools.processes import ROOT
from tools.stack import RunningStack, write

TOUR = "Five minutes more"
TIMEOUT_S = 180
# A text, and JSON as well, so that it answers whatever a page asks for.
SAID = json.dumps({"answer": "A test case adds 2 and 3, and expects 5."})

RUN = [each for page in docs.pages() for each in snippets(page) if each.language in PROGRAMS and each.reason is None]


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program: what it printed, and the status of each request of curl's."""

    output: str
    statuses: list[int]

    @property
    def objects(self) -> list[Any]:
        """The JSON objects that it printed, a line each."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]


@dataclass(frozen=True, slots=True)
class Reader:
    """Someone who follows the pages in a folder where `make run` has left its stack.json."""

    folder: Path
    stack: RunningStack

    def run(self, snippet: Snippet) -> Ran:
        """Run a program as it stands on the page; it must not fail."""
        stack = self.stack.stack
        code = snippet.at(stack.base_url.removesuffix("/v1"), stack.api_key)
        command = [sys.executable, "-c", code] if snippet.language == "python" else ["bash", "-euo", "pipefail"]
        statuses = self.folder / "statuses"
        statuses.write_text("")
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "STATUSES": str(statuses)}
        done = subprocess.run(
            command,
            input=code if snippet.language == "sh" else None,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"{snippet.name}: {done.stdout}{done.stderr}"
        return Ran(done.stdout, [int(status) for status in statuses.read_text().split()])


@pytest.fixture
def reader(stack: RunningStack, fake_provider: FakeProcess, tmp_path: Path) -> Reader:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("the pages use curl, which is not installed")
    fake_provider.clear_faults()
    fake_provider.configure(answer=SAID)
    (tmp_path / ".local").mkdir()
    write(stack.stack, tmp_path / ".local" / "stack.json")
    # curl as it is, noting the status of each answer.
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "curl"
    noting = f'{shlex.quote(curl)} --output "$body" --write-out "%{{http_code}}\\n" "$@" >> "$STATUSES"'
    wrapper.write_text(f'#!/usr/bin/env bash\nset -eu\nbody=$(mktemp)\n{noting}\ncat "$body"\nrm "$body"\n')
    wrapper.chmod(0o755)
    return Reader(tmp_path, stack)


@pytest.mark.parametrize(
    "snippet", [each for each in RUN if each.heading != TOUR], ids=lambda snippet: f"{snippet.name}-{snippet.language}"
)
def test_a_program_works_as_it_stands(snippet: Snippet, reader: Reader) -> None:
    ran = reader.run(snippet)
    assert ran.output.strip()
    if snippet.language == "sh":
        assert ran.statuses, "something was asked"
    assert [status for status in ran.statuses if status >= 400] == snippet.announced_errors


def test_the_tour_shows_what_it_says(reader: Reader) -> None:
    [tour] = [each for each in snippets(ROOT / "README.md") if each.heading == TOUR]
    assert tour.reason is None
    ran = reader.run(tour)
    assert [status for status in ran.statuses if status >= 400] == tour.announced_errors == [400]
    task, named, recalled, conversation, first, second, usage, refused, quota, requests = ran.objects
    assert task["output"]
    assert task["quality"]
    assert task["version"]
    assert named["choices"]
    assert recalled["choices"]
    said = json.dumps(conversation)
    assert "My name is Ada." in said
    assert "What is my name?" in said
    assert [first["cached"], second["cached"]] == [False, True]
    assert second["cost_usd"] == 0
    assert usage["totals"]["requests"] == 2
    assert refused["error"]["code"] == "prompt-injection"
    assert quota["data"]
    assert [each["outcome"] for each in requests["data"]] == ["refused", "answered"]
