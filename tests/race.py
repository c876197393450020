"""Many processes spend one provider key as fast as they are let, and the provider watches.

`run` starts the workers and says what the provider saw; `python -m tests.race` is one worker.
"""

import argparse
import bisect
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from sluice.chat import ChatRequest, Usage
from sluice.composition import App
from sluice.errors import QuotaExceededError
from sluice.providers.base import ProviderResponse
from sluice.providers.registry import Registry
from sluice.quota.request_size import RequestSize
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Answered
from sluice.routing.plan import plan
from sluice.routing.router import Router, Search
from sluice.routing.scoring import Weights
from tests.fakes.client import FakeProviderClient

ROOT = Path(__file__).parent.parent
# One slice of margin and one of rounding: what a saturated limit takes to come round.
CYCLE_S = 62
_LONGEST_NAP_S = 0.2
_THREADS = 4
_PROMPTS = ("Hello.", "Tell me more about the weather in the mountains, please. " * 4, "x" * 900)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the provider saw of one model: requests and tokens that arrived while the key was saturated."""

    requests: int
    tokens: int
    refused: int
    violations: int
    most_in_any_minute: Mapping[str, int]
    utilisation: Mapping[str, float]


def run(
    environment: Mapping[str, str], provider: FakeProviderClient, models: Mapping[str, Mapping[str, int]], workers: int
) -> dict[str, Seen]:
    """Let `workers` processes of four threads each saturate `models` (name -> limits) for two cycles of a minute.

    Returns what the provider saw by model.
    """
    seconds = 2 * CYCLE_S + 4
    command = [sys.executable, "-m", "tests.race", "--seconds", str(seconds), *models]
    processes = [subprocess.Popen(command, env=dict(environment), cwd=ROOT) for _ in range(workers)]
    try:
        for process in processes:
            if process.wait(timeout=seconds + 60) != 0:
                raise RuntimeError(f"a worker ended with {process.returncode}")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    state = provider.state()
    return {model: _seen(state, model, limits) for model, limits in models.items()}


def _seen(state: Mapping[str, list[dict[str, object]]], model: str, limits: Mapping[str, int]) -> Seen:
    arrivals = [each for each in state["arrivals"] if each["model"] == model]
    moments = [(float(str(each["monotonic_s"])), int(str(each["tokens"]))) for each in arrivals]
    units = {
        "requests_per_minute": [(at_s, 1) for at_s, _ in moments],
        "tokens_per_minute": moments,
    }
    return Seen(
        requests=len(moments),
        tokens=sum(tokens for _, tokens in moments),
        refused=sum(bool(each["refused"]) for each in arrivals),
        violations=sum(each["model"] == model for each in state["violations"]),
        most_in_any_minute={name: _most_in_a_minute(units[name]) for name in limits},
        utilisation={name: _utilisation(units[name], capacity) for name, capacity in limits.items()},
    )


def _utilisation(moments: list[tuple[float, int]], capacity: int) -> float:
    """A minute over the time it took, on average, until the whole capacity had been spent once more."""
    spent = 0
    totals = []  # (total before, moment): when each unit was spent
    for at_s, cost in moments:
        totals.append((spent, at_s))
        spent += cost
    befores = [before for before, _ in totals]
    cycles_s = [
        totals[later][1] - at_s
        for before, at_s in totals
        if (later := bisect.bisect_left(befores, before + capacity)) < len(totals)
    ]
    return 60 / (sum(cycles_s) / len(cycles_s)) if cycles_s else 0.0


def _most_in_a_minute(moments: list[tuple[float, int]]) -> int:
    most = begin = inside = 0
    for at_s, cost in moments:
        inside += cost
        while moments[begin][0] <= at_s - 60:
            inside -= moments[begin][1]
            begin += 1
        most = max(most, inside)
    return most


def _ask(router: Router, registry: Registry, request: ChatRequest) -> Answered[ProviderResponse]:
    search = Search(
        request=request,
        size=RequestSize.of(request),
        tenant="race",
        groups=plan(request, registry).groups,
        deadline=Deadline.after(10),
        prepare=lambda deployment: registry.provider(deployment).warm_up(),
    )
    for attempt in router.attempts(search):
        provider, model = registry.provider(attempt.deployment), attempt.deployment.model.id
        with attempt:
            return attempt.answered(attempt.call(partial(provider.complete, request, model, 10)))
    raise search.verdict()


def _work(models: list[str], seconds: float) -> None:
    app = App.from_environment()
    registry = app.registry()
    quota = app.deployment_quota
    router = Router(quota, Weights())
    end_s = time.monotonic() + seconds
    for number in range(sys.maxsize):
        if time.monotonic() > end_s:
            return
        naps_s = []
        for model in models:
            body = {
                "model": model,
                "messages": [{"role": "user", "content": _PROMPTS[number % len(_PROMPTS)]}],
                "max_tokens": 40 + number % 30,
            }
            request = ChatRequest.model_validate(body)
            try:
                answered = _ask(router, registry, request)
            except QuotaExceededError as refused:
                naps_s.append(float(refused.retry_after_s or 1))
            else:
                usage = cast("Usage", answered.answer.chat.usage)
                quota.settle(answered, usage, 0, answered.answer.rate_limits)
                naps_s.append(0.0)
        time.sleep(min(*naps_s, _LONGEST_NAP_S))


def main() -> None:
    """Be one worker process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(_work, arguments.models, arguments.seconds) for _ in range(_THREADS)]:
            done.result()


if __name__ == "__main__":
    main()
