"""How many examples a property test tries: all in `make test`, few in `make unit`, where SLUICE_EXAMPLES=few."""

import os

_FEWEST = 5


def examples(most: int) -> int:
    """At most this many, or a tenth of it."""
    return max(_FEWEST, most // 10) if os.environ.get("SLUICE_EXAMPLES") == "few" else most
