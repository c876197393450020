import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from sluice.errors import StorageUnavailableError
from sluice.gateway.background import RequestThreads, Task, settle_all
from sluice.routing.deadline import Deadline
from sluice.storage.time_limit import until_s, within

SAID = "what a pupil wrote"
ERRORS = (ValueError(SAID), KeyError(SAID), RecursionError(), StorageUnavailableError("gone"), TypeError(SAID))


def failing(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("is_first", [True, False])
def test_what_one_task_raises_hides_none_of_the_others_and_costs_no_answer(
    is_first: bool, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    done = []
    tasks: dict[str, Task] = {f"task {number}": partial(failing, error) for number, error in enumerate(ERRORS)}
    good: dict[str, Task] = {"good": lambda: done.append(True)}
    with ThreadPoolExecutor(2) as executor:
        settle_all(good | tasks if is_first else tasks | good, executor, Deadline.after(5))
    assert done == [True]
    metrics = capfd.readouterr().out
    assert all(f'"action":"{name}","BookkeepingFailed"' in metrics for name in tasks)
    logged = {str(vars(record)["reason"]): str(vars(record)) for record in caplog.records}
    assert logged.keys() == {"ValueError", "KeyError", "RecursionError", "gone", "TypeError"}
    assert "failing in test_background.py" in logged["KeyError"]
    assert SAID not in "".join(logged.values())


def test_a_process_that_ends_settles_all_the_same() -> None:
    done: list[str] = []
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    settle_all({name: partial(done.append, name) for name in "abc"}, executor, Deadline.after(5))
    assert sorted(done) == ["a", "b", "c"]


def test_nothing_to_settle_is_settled() -> None:
    with ThreadPoolExecutor(1) as executor:
        settle_all({}, executor, Deadline.after(5))


def test_tasks_have_what_is_left_of_the_request_and_a_little_of_one_that_is_over() -> None:
    seen: list[float] = []

    def look() -> None:
        seen.append(until_s() - time.monotonic())

    with ThreadPoolExecutor(1) as executor:
        settle_all(dict.fromkeys("ab", look), executor, Deadline.after(9))
        settle_all({"late": look}, executor, Deadline.after(-5))
    assert all(8 < left_s <= 9 for left_s in seen[:2])
    assert 0 < seen[2] <= 0.1


def test_threads_of_a_request_have_its_time_limit() -> None:
    with RequestThreads(1) as threads:
        with within(17.0):
            assert threads.submit(until_s).result() == 17.0
        assert threads.submit(until_s).result() == math.inf
