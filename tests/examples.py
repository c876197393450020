"""How many examples a property test tries: some in `make test`, few in `make unit`, all with SLUICE_EXAMPLES=all.

They are others in each run, so that runs together try what one does not.
"""

import os

_FEWEST = 5
_PERCENT = {"few": 10, "some": 30, "all": 100}


def examples(most: int) -> int:
    """At most this many, or a part of it."""
    return max(_FEWEST, most * _PERCENT[os.environ.get("SLUICE_EXAMPLES", "some")] // 100)
