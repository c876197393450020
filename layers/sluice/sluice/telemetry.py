"""What is counted and logged when something is survived."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from traceback import extract_tb
from types import MappingProxyType
from typing import Literal

from aws_lambda_powertools import Logger

from sluice.errors import StorageUnavailableError

logger = Logger(child=True)

_NAMESPACE = "Sluice"

_request_ids: ContextVar[Mapping[str, str]] = ContextVar("request_ids", default=MappingProxyType({}))
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Metric:
    """One number in CloudWatch: in all of the stack, and once more by each of `by`, tuples of dimensions' names."""

    name: str
    value: float
    unit: Literal["Count", "Milliseconds", "Seconds", "Percent", "None"] = "Count"
    by: tuple[tuple[str, ...], ...] = ()


def emit_metric(metric: str, **dimensions: str) -> None:
    """Count one `metric`, once in all and once by its dimensions.

    An alarm is on one metric with fixed dimensions, and those in template.yaml on all of a stack's: its name is the
    `service`.
    """
    write_line(dimensions, [Metric(metric, 1, by=(tuple(dimensions),) if dimensions else ())])


def write_line(fields: Mapping[str, object], metrics: Iterable[Metric]) -> None:
    """Write one line of the log that also is metrics, in CloudWatch's embedded metric format.

    `fields` are what else it says, and hold the values of dimensions. By hand, since Powertools takes five times as
    long for it. Source: "Specification: Embedded metric format" in CloudWatch's user guide.
    """
    service = os.environ.get("POWERTOOLS_SERVICE_NAME", "")
    found = tuple(metrics)
    said = {
        **({"service": service} if service else {}),
        **_request_ids.get(),
        **fields,
        **{metric.name: metric.value for metric in found},
    }
    directives = _directives(tuple((each.name, each.unit, each.by) for each in found), has_service=bool(service))
    head = f'{{"_aws":{{"Timestamp":{int(time.time() * 1000)},"CloudWatchMetrics":{directives}}},'
    # In one piece, and at once: threads share the stream, and a function that has answered is frozen.
    sys.stdout.write(head + _encode(said)[1:] + "\n")
    sys.stdout.flush()


@lru_cache(maxsize=512)
def _directives(shapes: tuple[tuple[str, str, tuple[tuple[str, ...], ...]], ...], *, has_service: bool) -> str:
    """What the metrics of a line are, as JSON: half of it, and the same for most lines."""
    whole = ["service"] if has_service else []
    grouped: dict[tuple[tuple[str, ...], ...], list[dict[str, str]]] = {}
    for name, unit, by in shapes:
        grouped.setdefault(by, []).append({"Name": name, "Unit": unit})
    return _encode(
        [
            {"Namespace": _NAMESPACE, "Dimensions": [whole, *([*whole, *names] for names in by)], "Metrics": named}
            for by, named in grouped.items()
        ]
    )


class RequestIds(logging.Filter):
    """Puts the ids of the request that is answered into each line of the log: Sluice's own, and API Gateway's."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through."""
        for name, value in _request_ids.get().items():
            if name not in record.__dict__:
                setattr(record, name, value)
        return True


@contextmanager
def logging_request(request_id: str, api_request_id: str) -> Iterator[None]:
    """Name a request in all that is logged in this context, and in those of threads that work for it."""
    ids = {"request_id": request_id, "api_request_id": api_request_id}
    before = _request_ids.set({name: value for name, value in ids.items() if value})
    try:
        yield
    finally:
        _request_ids.reset(before)


@contextmanager
def best_effort(action: str) -> Iterator[None]:
    """Let an answer stand though `action`, a piece of bookkeeping, failed, whatever it raised: log it and count it."""
    try:
        yield
    except StorageUnavailableError as error:
        logger.warning("bookkeeping failed", extra={"action": action, "reason": error.message})
        emit_metric("BookkeepingFailed", action=action)
    except Exception as error:  # noqa: BLE001 -- a fault of Sluice's own, which costs no answer that was paid for
        # Without its message, which may say what was asked or answered.
        where = [
            f"{frame.name} in {frame.filename.rpartition('/')[2]}:{frame.lineno}"
            for frame in extract_tb(error.__traceback__)
        ]
        logger.error("bookkeeping failed", extra={"action": action, "reason": type(error).__name__, "trace": where})  # noqa: TRY400
        emit_metric("BookkeepingFailed", action=action)
