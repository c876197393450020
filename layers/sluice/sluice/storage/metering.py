"""Metering of DynamoDB: what is asked within `counting` says what it consumed, and that is counted."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
# Bytes travel so.
_BYTES_PER_BASE64 = 3 / 4
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})


class ConsumedUnits:
    """Units of DynamoDB's that one request has consumed. Threads may share it."""

    def __init__(self) -> None:
        self.read = 0.0
        self.write = 0.0
        self._lock = Lock()

    def add(self, *, read: float = 0.0, write: float = 0.0) -> None:
        """Count more of them."""
        with self._lock:
            self.read += read
            self.write += write


_counted: ContextVar[ConsumedUnits | None] = ContextVar("counted_units", default=None)


@contextmanager
def counting(units: ConsumedUnits) -> Iterator[None]:
    """Count what is consumed in this context, and in those of threads that work for it."""
    before = _counted.set(units)
    try:
        yield
    finally:
        _counted.reset(before)


def asking(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request, asking for what it consumes if that is counted."""
    is_counted = _counted.get() is not None and (operation in _WRITES or operation in _READS)
    return {**request, "ReturnConsumedCapacity": "TOTAL"} if is_counted else request


def answered(operation: str, answer: Mapping[str, Any]) -> None:
    """Count what an answer says was consumed."""
    units = _counted.get()
    if units is None:
        return
    said = answer.get("ConsumedCapacity") or {}
    # Operations on several tables have a list of them. An answer is of JSON, so that no other mapping than this comes.
    tables = [said] if isinstance(said, dict) else said
    consumed = sum([float(each.get("CapacityUnits", 0)) for each in tables])
    if operation in _WRITES:
        units.add(write=consumed)
    else:
        units.add(read=consumed)


def refused(operation: str, item: Mapping[str, Any] | None) -> None:
    """Count a write whose condition was false: it consumes by the size of the item there, and its answer says nothing.

    `item` is that item in DynamoDB's typed form, where the answer has it; else it is taken to have no more than a
    kilobyte, as most items whose writes are conditional.
    """
    units = _counted.get()
    if units is not None and operation in _WRITES:
        units.add(write=max(1, math.ceil(_size(item or {}) / 1024)))


def _size(item: Mapping[str, Any]) -> float:
    """About how many bytes an item has: its long texts and bytes make it more than a kilobyte, if anything does."""
    return sum(
        len(name) + (len(text) * (_BYTES_PER_BASE64 if kind == "B" else 1) if isinstance(text, str) else 0)
        for name, value in item.items()
        for kind, text in value.items()
    )
