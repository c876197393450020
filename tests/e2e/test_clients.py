"""The part of `make compat` that needs no environments of its own: clients that are installed for tests anyway."""

import sys
from pathlib import Path

import pytest

from tests.fakes import FakeProcess
from tools.compat import openai_tests, outcomes
from tools.compat.clients import Client, Quickstart, Suite, clients
from tools.compat.exclusions import exclusions, sorted_out
from tools.compat.quickstart import environment_of_a_run, run_quickstart
from tools.compat.server import CompatServer
from tools.stack import RunningStack

INSTALLED = ("openai", "groq", "anthropic")
BY_NAME = {client.name: client for client in clients()}
# What is known not to work stands in docs/clients.md.
WORK = {outcome.part for outcome in outcomes.read() if outcome.verdict == "works"}
QUICKSTARTS = [(BY_NAME[name], each) for name in INSTALLED for each in BY_NAME[name].quickstarts if each.script in WORK]
SUITE = BY_NAME["openai-python"]
# Of openai's own tests. The others are run by `make compat`, as all of them share the half hour that a check may take.
QUICK = ("chat",)


@pytest.fixture
def server(stack: RunningStack, fake_provider: FakeProcess) -> CompatServer:
    fake_provider.clear_faults()
    return CompatServer(stack.stack, fake_provider)


@pytest.mark.parametrize(("client", "quickstart"), QUICKSTARTS, ids=[each.script for _, each in QUICKSTARTS])
def test_a_quickstart_works(client: Client, quickstart: Quickstart, server: CompatServer, tmp_path: Path) -> None:
    outcome = run_quickstart(client, quickstart, Path(sys.prefix), server, tmp_path)
    assert (outcome.verdict, outcome.why) == ("works", "")


@pytest.fixture(scope="session")
def openai_source(tmp_path_factory: pytest.TempPathFactory) -> openai_tests.TestSource:
    """The tests of the SDK, from its source distribution."""
    return openai_tests.source(SUITE, tmp_path_factory.mktemp("openai"))


@pytest.mark.parametrize("suite", [each for each in SUITE.suites if each.surface in QUICK], ids=lambda each: each.part)
def test_openai_s_own_tests_fail_by_nothing_that_is_not_known(
    suite: Suite, server: CompatServer, openai_source: openai_tests.TestSource, tmp_path: Path
) -> None:
    server.provider.reset()
    # aiohttp is not among what tests are installed with.
    command = [sys.executable, "-k", "not aiohttp"]
    env = {
        **environment_of_a_run(Path(sys.prefix) / "bin", tmp_path),
        "OPENAI_API_KEY": server.stack.api_key,
        "TEST_API_BASE_URL": server.stack.base_url,
    }
    results = openai_tests.run_tests(command, openai_source, suite.part, env, tmp_path)
    passed, failed, _ = sorted_out(SUITE.name, results, exclusions())
    assert failed == ()
    assert passed
