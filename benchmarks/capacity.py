"""What DynamoDB charges, and how long a chain of requests is. Pure.

Sizes and units: "DynamoDB item sizes and formats" and "DynamoDB throughput capacity" in AWS's developer guide.
"""

import base64
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of an item in DynamoDB's typed form: names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(size_bytes: int) -> float:
    """Write units of an item, the larger of what it was and what it becomes."""
    return max(1.0, math.ceil(size_bytes / _WRITE_UNIT_BYTES))


def read_units(size_bytes: int, *, is_consistent: bool) -> float:
    """Read units of an item; what is not there costs as much as the smallest."""
    return max(1.0, math.ceil(size_bytes / _READ_UNIT_BYTES)) / (1 if is_consistent else 2)


def longest_chain(intervals: Iterable[tuple[float, float]]) -> int:
    """How many of these (begin, end) can follow one another: requests that depend on each other never overlap.

    Requests that were meant to be sent at once may miss each other, so this is an upper bound; take the least of some.
    """
    length = 0
    free_from = -math.inf
    for begin, end in sorted(intervals, key=lambda interval: interval[1]):
        if begin >= free_from:
            length += 1
            free_from = end
    return length


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_bytes(content)
        case "B":
            # Base64, but for what boto3 has read.
            return len(content if isinstance(content, bytes) else base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "SS" | "NS" | "BS":
            return sum(_value_bytes({kind[0]: each}) for each in content)
        case "L":
            return 3 + sum(1 + _value_bytes(each) for each in content)
        case "M":
            return 3 + len(content) + item_bytes(content)
        case _:
            raise ValueError(f"{kind!r} is no type of DynamoDB's")


@lru_cache(maxsize=100_000)
def _number_bytes(text: str) -> int:
    """One byte for two digits and one more; a sign takes another."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return math.ceil(len(digits) / 2) + 1 + text.startswith("-")
