"""Size of answers: a function answers with so many bytes, and parts that would be too many are left out."""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from sluice.api.envelope import plain

# A function answers with at most 6 MiB (AWS Lambda, quotas: invocation payload, synchronous). The rest is for what
# stands around what was said.
MOST_SHOWN_BYTES = 6 * 1024 * 1024 - 64 * 1024

type _Part = Mapping[str, Any] | Sequence[Any]


def latest_fitting[Part: _Part](parts: Sequence[Part], most_bytes: int = MOST_SHOWN_BYTES) -> list[Part]:
    """The last of the parts of an answer, as many as fit into it; perhaps none."""
    sizes = accumulate(shown_bytes(part) for part in reversed(parts))
    fitting = sum(size <= most_bytes for size in sizes)
    return list(parts[len(parts) - fitting :])


def shown_bytes(part: _Part) -> int:
    """Bytes in the answer of a function, which is JSON in JSON, at most: it may come without escapes."""
    return len(json.dumps(json.dumps(part, default=plain)))
