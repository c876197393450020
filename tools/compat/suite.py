"""Runs a part of an outside test suite, and sorts what fails by what is known."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.compat import openai_tests, reports
from tools.compat.clients import Client, Suite
from tools.compat.environments import EnvironmentMissingError, programs
from tools.compat.exclusions import TestResult, exclusions, sorted_out
from tools.compat.outcomes import Outcome
from tools.compat.quickstart import environment_of_a_run, told
from tools.compat.server import CompatServer

_MOST_FAILURES = 20


def run_suite(client: Client, suite: Suite, folder: Path, server: CompatServer, directory: Path) -> Outcome:
    """Run it with the packages of `folder`; `directory` takes what it writes."""
    server.provider.reset()
    origin, why = "", ""
    results: Sequence[TestResult] = ()
    try:
        origin, results = _results(client, suite, folder, server, directory)
    except (EnvironmentMissingError, reports.ReportError, subprocess.TimeoutExpired) as error:
        why = told(str(error), server, directory)
    passed, failed, left_out = sorted_out(client.name, results, exclusions())
    told_failures = [told(f"{each.name}: {each.message}", server, directory) for each in failed[:_MOST_FAILURES]]
    if len(failed) > _MOST_FAILURES:
        told_failures.append(f"and {len(failed) - _MOST_FAILURES} more")
    return Outcome(
        client=client.name,
        version=client.version,
        surface=suite.surface,
        part=suite.part,
        verdict="fails" if why or failed or not results else "works",
        why=why,
        origin=origin,
        passed=passed,
        failed=tuple(told_failures),
        left_out=left_out,
    )


def _results(
    client: Client, suite: Suite, folder: Path, server: CompatServer, directory: Path
) -> tuple[str, Sequence[TestResult]]:
    bin_folder = programs(client, folder)
    directory.mkdir(parents=True, exist_ok=True)
    env = {
        **environment_of_a_run(bin_folder, directory),
        "OPENAI_API_KEY": server.stack.api_key,
        "OPENAI_BASE_URL": server.stack.base_url,
        "TEST_API_BASE_URL": server.stack.base_url,
    }
    if client.name in reports.PROGRAMS:
        return "", reports.PROGRAMS[client.name](bin_folder, suite.part, env, directory)
    tests = openai_tests.source(client, folder)
    return tests.origin, openai_tests.run_tests([bin_folder / "python"], tests, suite.part, env, directory)
