"""Parts of an App: each is built when it is first asked for."""

from collections.abc import Callable
from dataclasses import field
from functools import cached_property
from threading import RLock
from typing import Self

from sluice.loading.dataclass import dataclass
from sluice.settings import Settings


def part[Owner: Parts, Value](build: Callable[[Owner], Value]) -> cached_property[Value]:
    """A part of an App, built when it is first asked for, and once, however many threads ask."""

    def build_once(app: Owner) -> Value:
        with app.lock:
            parts = app.__dict__
            if build.__name__ not in parts:
                parts[build.__name__] = build(app)
            value: Value = parts[build.__name__]
            return value

    build_once.__doc__ = build.__doc__
    return cached_property(build_once)


@dataclass(frozen=True, eq=False)
class Parts:
    """What all parts are made of: the settings, and a lock under which each is built once."""

    settings: Settings
    lock: RLock = field(default_factory=RLock, init=False, repr=False)

    @classmethod
    def from_environment(cls) -> Self:
        """An App for the tables and secrets that this function was given."""
        return cls(Settings.from_environment())
