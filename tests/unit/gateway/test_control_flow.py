"""Control of a request goes down through the rooms, and through few files in their middle."""

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_ident
from types import CodeType

import sluice
from sluice.errors import ProviderTimeoutError
from tests.gateways import MemoryGateway, entry
from tools.processes import ROOT

_CODE = str(Path(sluice.__file__).parent) + "/"
_CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
_FLOORS = {room.strip(): floor for floor, row in enumerate(_CONTRACTS[0]["layers"]) for room in row.split("|")}
_MIDDLE = ("gateway", "routing", "conversations")


@dataclass
class Walk:
    """The files whose functions ran in this thread, and the calls that went from a room to one above it."""

    thread: int = field(default_factory=get_ident)
    files: set[str] = field(default_factory=set)
    climbs: set[str] = field(default_factory=set)

    def enter(self, code: CodeType, _offset: int) -> None:
        """Note a function that begins, or a generator that goes on."""
        if not code.co_filename.startswith(_CODE) or get_ident() != self.thread:
            return
        here = code.co_filename.removeprefix(_CODE)
        self.files.add(here)
        frame = sys._getframe(1).f_back
        while frame is not None and not frame.f_code.co_filename.startswith(_CODE):
            frame = frame.f_back
        if frame is not None:
            caller = frame.f_code.co_filename.removeprefix(_CODE)
            if _FLOORS[_room(here)] < _FLOORS[_room(caller)]:
                self.climbs.add(f"{caller}:{frame.f_code.co_qualname} -> {here}:{code.co_qualname}")


def _room(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")


@contextmanager
def walked() -> Iterator[Walk]:
    """What runs meanwhile."""
    walk, monitoring, tool = Walk(), sys.monitoring, sys.monitoring.PROFILER_ID
    events = monitoring.events.PY_START | monitoring.events.PY_RESUME
    monitoring.use_tool_id(tool, "walk")
    for event in (monitoring.events.PY_START, monitoring.events.PY_RESUME):
        monitoring.register_callback(tool, event, walk.enter)
    monitoring.set_events(tool, events)
    try:
        yield walk
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


def test_a_streamed_chat_with_fallback_never_climbs_and_opens_few_files_of_the_middle() -> None:
    gateway = MemoryGateway(entry("one"), entry("two"), budget_nanousd=10**12)
    gateway.read()
    gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
    with walked() as walk:
        gateway.read(skip_cache=True)
    assert gateway.asked()[-2:] == ["one", "two"]
    assert walk.climbs == set()
    assert len([path for path in walk.files if _room(path) in _MIDDLE]) <= 20
