"""Many processes spend one provider key as fast as they are let, and the provider watches.

`run` starts the workers and says what the provider saw; `python -m tests.race` is one worker. With `faults`, calls are
refused, fail, hang and are cut off on the way, whole and streamed, and workers are killed while they work.
"""

import argparse
import bisect
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from sluice.chat import ChatRequest, Usage
from sluice.composition import App
from sluice.errors import InvalidRequestError, NoProviderError, QuotaExceededError
from sluice.providers.base import Provider, RateLimitHeaders
from sluice.providers.registry import Registry
from sluice.quota.request_size import RequestSize
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Answered
from sluice.routing.router import AttemptState, RetryLimits, Router, Search
from sluice.routing.scoring import Weights
from tests.fakes.client import FakeProviderClient

ROOT = Path(__file__).parent.parent
# One slice of margin and one of rounding: what a saturated limit takes to come round.
CYCLE_S = 62
_LONGEST_NAP_S = 0.2
_PATIENCE_S = 6.0
# Of so many requests these meet a fault. Few fail: a minute's limit is spent in a second, and what hangs is all that is
# left to be settled then; five failures in a row would open the circuit.
_ROUND = 160
_FAULTS = dict.fromkeys(range(3, _ROUND, 12), "400") | {20: "cut", 50: "504", 80: "hang", 110: "cut", 140: "500"}
# Tokens of what a provider refuses go back, and this one counts them all the same.
_FAULTS_OF_TOKENS = {number: fault for number, fault in _FAULTS.items() if fault not in {"400", "500"}}
_KILLED_AFTER_S = (20, 45, 80)
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
    environment: Mapping[str, str],
    provider: FakeProviderClient,
    models: Mapping[str, Mapping[str, int]],
    workers: int,
    *,
    threads: int = 4,
    faults: bool = False,
) -> dict[str, Seen]:
    """Let `workers` processes of some threads each saturate `models` (name -> limits) for two cycles of a minute.

    As many send at once as there are threads, all on this machine: with so many that one waits for a processor for a
    second after it was counted, this machine is what is tested.

    Returns what the provider saw by model.
    """
    command = [
        sys.executable,
        "-m",
        "tests.race",
        "--threads",
        str(threads),
        *(["--faults"] if faults else []),
        *models,
    ]
    fleet = _Fleet(command, environment)
    try:
        for _ in range(workers):
            fleet.add()
        end_s = time.monotonic() + 2 * CYCLE_S + 4
        fleet.begin(end_s)
        for after_s in _KILLED_AFTER_S if faults else ():
            time.sleep(max(0.0, end_s - 2 * CYCLE_S + after_s - time.monotonic()))
            fleet.kill_one()
            fleet.add()
            fleet.begin(end_s)
        fleet.wait()
    finally:
        fleet.end()
    state = provider.state()
    return {model: _seen(state, model, limits) for model, limits in models.items()}


class _Fleet:
    """Worker processes, which begin together: who still imports has no time to send what it has counted."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._waiting: list[subprocess.Popen[str]] = []
        self._working: list[subprocess.Popen[str]] = []

    def add(self) -> None:
        """Start a worker, which waits until it is told to begin."""
        self._waiting.append(
            subprocess.Popen(
                self._command,
                env=dict(self._environment),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def begin(self, end_s: float) -> None:
        """Let those who wait work until `end_s`, on the monotonic clock, which all processes share."""
        for process in self._waiting:
            stdout = cast("TextIO", process.stdout)
            if not stdout.readline():
                raise RuntimeError("a worker did not get ready")
            # Whoever logs more than a pipe holds would stand still.
            threading.Thread(target=stdout.read, daemon=True).start()
        for process in self._waiting:
            stdin = cast("TextIO", process.stdin)
            stdin.write(f"{end_s}\n")
            stdin.close()
        self._working += self._waiting
        self._waiting = []

    def kill_one(self) -> None:
        """Kill a worker in the midst of what it does."""
        process = self._working.pop(0)
        process.kill()
        process.wait()

    def wait(self) -> None:
        """Wait until all have worked to their end."""
        for process in self._working:
            if process.wait(timeout=2 * CYCLE_S + 60) != 0:
                raise RuntimeError(f"a worker ended with {process.returncode}")

    def end(self) -> None:
        """Leave none behind."""
        for process in (*self._waiting, *self._working):
            process.kill()
            process.wait()


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
        utilisation={name: utilisation(units[name], capacity) for name, capacity in limits.items()},
    )


def utilisation(moments: list[tuple[float, int]], capacity: int) -> float:
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


@dataclass(frozen=True, slots=True)
class _Reply:
    usage: Usage | None
    rate_limits: RateLimitHeaders


def _asked(router: Router, registry: Registry, request: ChatRequest, *, streamed: bool) -> Answered[_Reply] | None:
    """What one call of the provider came to, None if it failed."""
    search = Search(
        request=request,
        size=RequestSize.of(request),
        tenant="race",
        # Nobody stands in.
        groups=[[each for each in registry.deployments if each.model.id == request.model]],
        deadline=Deadline.after(10),
        registry=registry,
    )
    for attempt in router.attempts(search):
        ask = _streamed if streamed else _whole
        with attempt:
            attempt.begin_call()
            return attempt.answered(ask(attempt.provider, request, attempt.deployment.model.id))
        if attempt.state is AttemptState.FAILED:
            return None
    raise search.verdict()


def _whole(provider: Provider, request: ChatRequest, model: str) -> _Reply:
    answer = provider.complete(request, model, _PATIENCE_S)
    return _Reply(answer.chat.usage, answer.rate_limits)


def _streamed(provider: Provider, request: ChatRequest, model: str) -> _Reply:
    stream = provider.stream(request, model, _PATIENCE_S)
    try:
        return _Reply([chunk.usage for chunk in stream if chunk.usage][-1], stream.rate_limits)
    finally:
        stream.close()


def _work(models: list[str], end_s: float, app: App, *, faults: bool) -> None:
    registry, quota = app.registry(), app.deployment_quota
    router = Router(quota, Weights(), RetryLimits())
    first = random.SystemRandom().randrange(_ROUND)
    for number in range(first, sys.maxsize):
        if time.monotonic() > end_s:
            return
        naps_s = []
        for model in models:
            body = {
                "model": model,
                "messages": [{"role": "user", "content": _PROMPTS[number % len(_PROMPTS)]}],
                "max_tokens": 40 + number % 30,
            }
            own_faults = _FAULTS if "requests" in model else _FAULTS_OF_TOKENS
            if faults and (fault := own_faults.get(number % _ROUND)):
                body["user"] = f"fault:{fault}"
            request = ChatRequest.model_validate(body)
            try:
                answered = _asked(router, registry, request, streamed=faults and number % 2 == 0)
            except QuotaExceededError as refused:
                naps_s.append(float(refused.retry_after_s or 1))
                continue
            except InvalidRequestError:
                answered = None  # what it was told to be
            except NoProviderError:
                naps_s.append(_LONGEST_NAP_S)  # the circuit is open, and the limit will not be used up
                continue
            naps_s.append(0.0)
            if answered is not None and answered.answer.usage is not None:
                quota.settle(answered, answered.answer.usage, 0, answered.answer.rate_limits)
        time.sleep(min(*naps_s, _LONGEST_NAP_S))


def main() -> None:
    """Be one worker process."""
    parser = argparse.ArgumentParser(prog="python -m tests.race")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--faults", action="store_true")
    arguments = parser.parse_args()
    # Each as alone as a process is.
    apps = [App.from_environment() for _ in range(arguments.threads)]
    for app in apps:
        app.prepare()
        app.registry()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    end_s = float(sys.stdin.readline())
    with ThreadPoolExecutor(arguments.threads) as executor:
        working = [executor.submit(_work, arguments.models, end_s, app, faults=arguments.faults) for app in apps]
        for each in working:
            each.result()


if __name__ == "__main__":
    main()
