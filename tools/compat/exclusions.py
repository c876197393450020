"""Which failures of outside suites are known, and why: what exclusions.toml says."""

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tools.compat.clients import FOLDER
from tools.compat.outcomes import LeftOut, Outcome

type Verdict = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a suite says of one of its tests. `message` is what it failed by, or why the suite skips it."""

    __test__ = False

    name: str
    verdict: Verdict
    message: str = ""


class Exclusion(BaseModel):
    """A failure that is known. A test that fails by anything else, or passes, is not excluded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    test: str = Field(default="", description="what is in the test's name, as a regular expression")
    message: str = Field(description="what is in the message that it fails by, as a regular expression")
    reason: str

    def matches(self, suite: str, result: TestResult) -> bool:
        """Whether a test of `suite` fails as is known."""
        if self.suite != suite or result.verdict == "passed":
            return False
        return bool(re.search(self.test, result.name) and re.search(self.message, result.message))


class _Exclusions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    exclusion: tuple[Exclusion, ...]


@cache
def exclusions() -> Sequence[Exclusion]:
    """All that there are."""
    return _Exclusions.model_validate(tomllib.loads((FOLDER / "exclusions.toml").read_text())).exclusion


def sorted_out(
    suite: str, results: Sequence[TestResult], known: Sequence[Exclusion]
) -> tuple[int, tuple[TestResult, ...], tuple[LeftOut, ...]]:
    """How many tests passed, which failed, and how many were left out for which reason."""
    passed = sum(result.verdict == "passed" for result in results)
    failed: list[TestResult] = []
    reasons: Counter[str] = Counter()
    for result in results:
        if result.verdict == "passed":
            continue
        exclusion = next((each for each in known if each.matches(suite, result)), None)
        if exclusion is not None:
            reasons[exclusion.reason] += 1
        else:
            failed.append(result)
    return passed, tuple(failed), tuple(LeftOut(reason=reason, tests=count) for reason, count in reasons.items())


def unused(outcomes: Sequence[Outcome]) -> Sequence[Exclusion]:
    """The exclusions of suites that were run for which no test was left out."""
    ran = {outcome.client for outcome in outcomes}
    used = {(outcome.client, each.reason) for outcome in outcomes for each in outcome.left_out}
    return [each for each in exclusions() if each.suite in ran and (each.suite, each.reason) not in used]
