"""How long a function takes to start in a fresh interpreter, and how large its layers are."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import layers
from benchmarks.markdown import table
from benchmarks.samples import milliseconds, summary
from benchmarks.section import main
from benchmarks.stage import MODELS, Stage, staged
from tools.processes import ROOT

_PROGRAM = Path(__file__).with_name("fresh_start.py")
_BUDGET_RATIOS = {"chat": 0.9, "embeddings": 1.5}
_LAYERS_BUDGET_BYTES = 60 * layers.MEGABYTE
# The event of events/ that a function's first request is made of; functions without one are only loaded.
_EVENTS = {
    "chat": "create_chat_completion.json",
    "embeddings": "create_embeddings.json",
    "keys": "list_tenants.json",
}
_LOCAL_MODEL = "potion-base-8M"


@dataclass(slots=True)
class _Start:
    """One way to start an interpreter, and how it went."""

    name: str
    function: str | None  # None is the floor
    event: Mapping[str, Any] | None
    is_served: bool = False  # as run.sh does, behind the web adapter
    runs: list[Mapping[str, float]] = field(default_factory=list)

    def seconds(self, what: str) -> list[float]:
        return [run[what] for run in self.runs]


def run(*, quick: bool) -> str:
    """Start everything in turn, the floor too; but for a quick run after a round that leaves the files in memory."""
    rounds, uncounted = (1, 0) if quick else (9, 1)
    built, embedding, runtime = layers.build(), layers.build_embedding(), layers.runtime()
    with staged() as stage:
        starts = _starts(stage)
        for number in range(uncounted + rounds):
            for start in starts:
                has_model = start.function == "embeddings"
                packages = [layer.python for layer in ([*built, embedding] if has_model else built)]
                measured = _run(start, stage, [*packages, runtime])
                if number >= uncounted:
                    start.runs.append(measured)
    return (
        "Loading a function's app.py in a fresh interpreter, with the built layers, against the floor: importing boto3 "
        "and making a DynamoDB client. Milliseconds without the interpreter's own start, "
        f"{rounds} of each in turn: median (quartiles), 95th percentile.\n\n"
        + table(
            [
                "",
                "load, wall",
                "load, CPU",
                "to the floor, wall",
                "CPU",
                "budget of CPU",
                "then the first answer, wall",
                "CPU",
            ],
            [_row(start, starts[0]) for start in starts],
        )
        + "\n\n"
        + _sizes(built, embedding)
    )


def _starts(stage: Stage) -> list[_Start]:
    found = [_Start("floor: boto3 and a client", None, None)]
    for directory in sorted((ROOT / "functions").iterdir()):
        function = directory.name
        if not (directory / "app.py").exists():
            continue
        if function == "chat":
            key = stage.key()
            found += [
                _Start(f"chat, {adapter}", function, _event(function, key, model)) for adapter, model in MODELS.items()
            ]
            found.append(_Start("chat, streaming: with uvicorn", function, None, is_served=True))
        elif function == "embeddings":
            found.append(_Start(f"embeddings, {_LOCAL_MODEL}", function, _event(function, stage.key(), _LOCAL_MODEL)))
        else:
            found.append(_Start(function, function, _event(function, stage.admin_key)))
    return found


def _event(function: str, key: str, model: str | None = None) -> dict[str, Any] | None:
    """The sample event with an API key that holds, and without the cache."""
    if function not in _EVENTS:
        return None
    event: dict[str, Any] = json.loads((ROOT / "events" / _EVENTS[function]).read_text())
    said = {"Authorization": f"Bearer {key}", "Cache-Control": "no-cache"}
    event["headers"] |= said
    event["multiValueHeaders"] |= {name: [value] for name, value in said.items()}
    if model is not None:
        event["body"] = json.dumps(json.loads(event["body"]) | {"model": model})
    return event


def _run(start: _Start, stage: Stage, packages: Sequence[Path]) -> Mapping[str, float]:
    own = [] if start.function is None else [ROOT / "functions" / start.function]
    what = "floor" if start.function is None else "server" if start.is_served else "function"
    answer = subprocess.run(
        # As in Lambda, neither the folder of this program nor the packages of this environment are on the path.
        [sys.executable, "-P", "-S", _PROGRAM, what],
        input=json.dumps(start.event),
        env={
            **stage.environment,
            "LOCAL_EMBEDDINGS": "true",
            "PYTHONPATH": os.pathsep.join(map(str, [*own, *packages])),
            "PYTHONDONTWRITEBYTECODE": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"{start.name} did not start: {answer.stderr}")
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])  # after log lines
    if start.event is not None and measured["status"] != 200:
        raise RuntimeError(f"{start.name} answered {measured['status']}: {answer.stderr}")
    return measured


def _row(start: _Start, floor: _Start) -> list[str]:
    ratios = {
        what: summary(start.seconds(what)).median / summary(floor.seconds(what)).median
        for what in ("load_s", "load_cpu_s")
    }
    budget = _BUDGET_RATIOS.get(start.function or "")
    answered = start.event is not None
    return [
        start.name,
        milliseconds(start.seconds("load_s"), 0),
        milliseconds(start.seconds("load_cpu_s"), 0),
        f"{ratios['load_s']:.2f}",
        f"{ratios['load_cpu_s']:.2f}",
        "" if budget is None else f"{budget:g}: {'kept' if ratios['load_cpu_s'] <= budget else 'missed'}",
        milliseconds(start.seconds("answer_s"), 0) if answered else "",
        milliseconds(start.seconds("answer_cpu_s"), 0) if answered else "",
    ]


def _sizes(built: list[layers.Layer], embedding: layers.Layer) -> str:
    total = sum(layer.size_bytes for layer in built)
    verdict = "kept" if total <= _LAYERS_BUDGET_BYTES else "missed"
    rows = [[f"layer {layer.name}", f"{layer.size_bytes / layers.MEGABYTE:.1f}", ""] for layer in built]
    budget = f"{_LAYERS_BUDGET_BYTES / layers.MEGABYTE:.0f}: {verdict}"
    return table(
        ["unpacked", "MB", "budget"],
        [
            *rows,
            ["both", f"{total / layers.MEGABYTE:.1f}", budget],
            ["layer embedding, of two functions", f"{embedding.size_bytes / layers.MEGABYTE:.1f}", ""],
        ],
    )


if __name__ == "__main__":
    main(run)
