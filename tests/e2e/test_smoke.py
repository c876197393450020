"""`make smoke` passes on the local stack, but for what only a command of the caller's can show."""

import shlex
import sys

import pytest

from tests.e2e.conftest import FAKE_MODEL
from tests.fakes import FakeProcess
from tools.smoke import Target, Verdict, smoke
from tools.stack import RunningStack


@pytest.fixture
def target(stack: RunningStack, fake_provider: FakeProcess) -> Target:
    fake_provider.configure(answer="word " * 60, chunk_delay_s=0.02)
    keys = stack.stack
    return Target(url=keys.base_url, key=keys.api_key, admin_key=keys.admin_key, model=FAKE_MODEL)


def test_the_local_stack_passes(target: Target) -> None:
    findings = smoke(target)
    assert [each for each in findings if each.verdict is Verdict.FAILED] == []
    assert [each.check for each in findings if each.verdict is Verdict.SKIPPED] == [
        "A changed parameter goes live while a stream is under way"
    ]


def test_what_does_not_hold_fails(target: Target) -> None:
    # A command that changes nothing.
    redeploy = shlex.join([sys.executable, "-c", "import time; time.sleep(1)"])
    stranger = Target(url=target.url, key="sl-nobody", model=target.model, redeploy=redeploy)
    asking = [each for each in smoke(stranger) if each.check.startswith(("A whole", "An answer", "The same"))]
    assert [each.verdict for each in asking] == [Verdict.FAILED] * 3
    unchanged = Target(url=target.url, key=target.key, model=target.model, redeploy=redeploy)
    [finding] = [each for each in smoke(unchanged) if each.check.startswith("A changed")]
    assert (finding.verdict, "still is" in finding.seen) == (Verdict.FAILED, True)
