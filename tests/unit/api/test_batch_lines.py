"""When a line of a batch is asked again."""

import pytest

from sluice.api.batch_lines import _wait_s
from sluice.api.envelope import Response


@pytest.mark.parametrize(
    ("status", "retry_after", "was_asked", "expected"),
    [
        (200, None, True, None),
        (429, "7", False, 7),
        (429, "7", True, 7),
        (429, None, False, None),
        # Nobody could be asked: that is not the line's fault, however often it happens.
        (503, "30", False, 30),
        (503, None, False, 60),
        # Somebody was, and failed: the line may be why.
        (503, "30", True, None),
        (504, None, True, None),
        (400, "5", False, None),
    ],
)
def test_only_what_says_nothing_of_the_line_waits_without_being_counted(
    status: int, retry_after: str | None, was_asked: bool, expected: float | None
) -> None:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    assert _wait_s(Response(status, headers, b""), was_asked=was_asked, may_pass=status >= 500) == expected


def test_what_no_retry_mends_is_not_asked_again() -> None:
    assert _wait_s(Response(503, {"retry-after": "3"}, b""), was_asked=False, may_pass=False) is None
