"""Metering of DynamoDB: what is asked within `counting` says what it consumed, and that is counted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sluice.infrastructure import ConsumedUnits

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})
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
    said = answer.get("ConsumedCapacity") or ()
    tables = [said] if isinstance(said, Mapping) else said
    consumed = sum(float(each.get("CapacityUnits", 0)) for each in tables)
    if operation in _WRITES:
        units.add(write=consumed)
    else:
        units.add(read=consumed)


def refused(operation: str) -> None:
    """Count a write whose condition was false: it consumes as much, and its answer does not say so.

    Items whose writes are conditional have no more than a kilobyte, or not much.
    """
    units = _counted.get()
    if units is not None and operation in _WRITES:
        units.add(write=1)
