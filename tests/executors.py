"""Executors of tests."""

from collections.abc import Callable
from concurrent.futures import Executor, Future


class Inline(Executor):
    """Does at once what it is given, in the thread that gives it."""

    def submit[**P, R](self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """See Executor.submit."""
        future: Future[R] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 -- as an executor does
            future.set_exception(error)
        return future
