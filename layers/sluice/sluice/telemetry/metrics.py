"""Metrics of CloudWatch, written as lines of the log."""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from sluice.loading.dataclass import dataclass
from sluice.telemetry.request_ids import request_ids

_NAMESPACE = "Sluice"

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
        **request_ids(),
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
