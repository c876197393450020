"""What came of each run, recorded in outcomes.json, from which the tables of docs/clients.md are made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tools.compat.clients import FOLDER, Surface

OUTCOMES = FOLDER / "outcomes.json"

type Verdict = Literal["works", "fails", "not run"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LeftOut(_Strict):
    """Tests of a suite that are not run, or whose failure is known, and why."""

    reason: str
    tests: int


class Outcome(_Strict):
    """What came of a quickstart, or of a part of a suite."""

    client: str
    version: str
    surface: Surface
    part: str = ""
    """The script, or what the part is called in its suite."""
    verdict: Verdict
    why: str = ""
    """What it failed by, or why it was not run."""
    origin: str = ""
    """Where a suite's tests are from, if not from the package."""
    passed: int = 0
    failed: tuple[str, ...] = ()
    """The suite's tests that failed."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What was run."""
        return (self.client, self.surface, self.part)


_ALL = TypeAdapter(tuple[Outcome, ...])


def read(path: Path = OUTCOMES) -> Sequence[Outcome]:
    """All outcomes that are recorded."""
    return _ALL.validate_json(path.read_bytes()) if path.exists() else ()


def record(new: Sequence[Outcome], order: Sequence[tuple[str, str, str]], path: Path = OUTCOMES) -> None:
    """Put outcomes in the place of earlier ones of the same runs. What is not in `order` any more goes."""
    found = {outcome.key: outcome for outcome in (*read(path), *new)}
    kept = tuple(found[key] for key in order if key in found)
    path.write_bytes(_ALL.dump_json(kept, indent=2, exclude_defaults=True) + b"\n")
