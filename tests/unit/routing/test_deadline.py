import math

import pytest

from sluice.routing.deadline import Deadline


@pytest.mark.parametrize(
    ("timeout_s", "function_ends_in_s", "expected_s"), [(120, math.inf, 120), (120, 29, 27.5), (20, 29, 20), (20, 1, 0)]
)
def test_a_request_ends_at_its_timeout_or_a_little_before_its_function(
    timeout_s: float, function_ends_in_s: float, expected_s: float
) -> None:
    assert Deadline.of_request(timeout_s, function_ends_in_s).remaining_s == pytest.approx(expected_s, abs=0.5)


def test_providers_leave_time_to_settle() -> None:
    for seconds, kept_s in ((120, 0.25), (1, 0.1), (0, 0)):
        deadline = Deadline.after(seconds)
        assert deadline.over_s - deadline.at_s == pytest.approx(kept_s)
    assert Deadline.after(-3).remaining_s == 0
