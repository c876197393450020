"""How long the routes of a tenant's AI take in a warm function, and what they ask of DynamoDB."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from benchmarks.markdown import table
from benchmarks.samples import milliseconds, summary
from benchmarks.section import main
from benchmarks.stage import PLENTY, TENANT, Stage, staged
from sluice.chat import JsonObject
from sluice.storage.json_service import JsonService

_BUDGET_S = 0.2
_API = "/api/v1/ai"


@dataclass(slots=True)
class _Case:
    """A request that is sent again and again, in turn with the others. `body` is made of the number of the round."""

    route: str
    """With `{id}` for an integration's."""
    body: Callable[[int], JsonObject] | None = None
    wall_s: list[float] = field(default_factory=list)
    operations: Counter[str] = field(default_factory=Counter)


def run(*, quick: bool) -> str:
    """Send all of them in turn, so that what else the machine does falls on all alike."""
    warm_up, rounds = (1, 3) if quick else (10, 100)
    with staged() as stage:
        cases = _cases(stage)
        for number in range(warm_up + rounds):
            for case, send in cases:
                with _counted() as operations:
                    begin_s = time.perf_counter()
                    status = send(number)
                    spent_s = time.perf_counter() - begin_s
                if status >= 300:
                    raise RuntimeError(f"{case.route} was answered {status}")
                if number >= warm_up:
                    case.wall_s.append(spent_s)
                    case.operations += operations
    rows = [_row(case, rounds) for case, _ in cases]
    return (
        f"Wall time of the function's handler in ms, {rounds} of each in turn after {warm_up} to warm up: median "
        "(quartiles), 95th percentile; and the requests to AWS of one. The budget is 200 ms at the 95th "
        "percentile, and no Scan.\n\n" + table(["", "wall", "requests to AWS", "budget"], rows)
    )


def _cases(stage: Stage) -> list[tuple[_Case, Callable[[int], int]]]:
    # Late: it brings the app, whose loggers write to what is standard output then.
    from functions.ai_configuration.app import ROUTES
    from tests.rest_function import RestFunction

    function = RestFunction(ROUTES)
    function.api_key = function.key(TENANT, role="operator", limits=PLENTY)
    made = {
        "type": "ai_model",
        "subtype": "llm",
        "provider": "groq",
        "name": "Our own key",
        "credentials": {"api_key": "gsk_1"},
    }
    integration = function.send(f"POST {_API}/integrations", made).body["id"]
    cases = [
        _Case(f"GET {_API}/configuration"),
        _Case(f"PATCH {_API}/configuration/models", lambda number: {"default_max_tokens": 100 + number}),
        _Case(f"PATCH {_API}/configuration/policies", lambda number: {"cache_ttl_seconds": 100 + number}),
        _Case(f"PATCH {_API}/configuration/cost_limits", lambda number: {"budget_usd_per_month": 1 + number}),
        _Case(f"GET {_API}/preferences"),
        _Case(f"PATCH {_API}/preferences/qa_agent", lambda number: {"confidenceThreshold": (number % 9 + 1) / 10}),
        _Case(f"POST {_API}/models/available", lambda _: {"capabilities": ["text_generation"]}),
        _Case(f"GET {_API}/integrations"),
        _Case(f"GET {_API}/integrations/{{id}}"),
        _Case(f"PATCH {_API}/integrations/{{id}}", lambda number: {"name": f"Key {number}"}),
    ]

    def sender(case: _Case) -> Callable[[int], int]:
        route = case.route.replace("{id}", integration)
        return lambda number: function.send(route, case.body(number) if case.body else None).status

    return [(case, sender(case)) for case in cases]


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count what the package's clients send."""
    operations: Counter[str] = Counter()
    call = JsonService.call

    def counted(service: JsonService, operation: str, request: JsonObject, **more: Any) -> JsonObject:
        operations[operation] += 1
        return call(service, operation, request, **more)

    with mock.patch.object(JsonService, "call", counted):
        yield operations


def _row(case: _Case, rounds: int) -> list[str]:
    found = summary(case.wall_s)
    is_kept = found.p95 <= _BUDGET_S and not case.operations["Scan"]
    asked = ", ".join(f"{count / rounds:.1f} {name}" for name, count in sorted(case.operations.items()))
    return [f"`{case.route}`", milliseconds(case.wall_s), asked or "none", "kept" if is_kept else "missed"]


if __name__ == "__main__":
    main(run)
