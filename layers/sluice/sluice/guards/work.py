"""A meter of work: engines that run on what callers and models write stop after so many steps."""


class WorkLimitError(Exception):
    """The work is more than was allowed."""


class WorkMeter:
    """Counts the steps of one piece of work."""

    __slots__ = ("limit", "spent")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spent = 0

    def spend(self, units: int) -> None:
        """Count `units` steps. Raises WorkLimitError when that is more than the limit."""
        self.spent += units
        if self.spent > self.limit:
            raise WorkLimitError
