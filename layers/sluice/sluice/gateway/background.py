"""Background threads of requests: what can be done at once is, and each piece whatever becomes of the others."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from sluice.routing.deadline import Deadline
from sluice.storage.time_limit import within
from sluice.telemetry.best_effort import best_effort

type Task = Callable[[], object]


class RequestThreads(ThreadPoolExecutor):
    """Threads that work in the context of who submits to them, so that its time limit is theirs."""

    def submit[**P, R](self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """As ThreadPoolExecutor.submit."""
        context: Callable[..., Any] = copy_context().run
        return super().submit(context, work, *args, **kwargs)


def settle_all(tasks: Mapping[str, Task], executor: Executor, deadline: Deadline) -> None:
    """Carry out all tasks at once, by name, before the request has to be over.

    Bookkeeping never costs an answer: whatever one raises is logged and counted, and hides none of the others.
    """
    bounded = [partial(_survived, name, task, deadline) for name, task in tasks.items()]
    running = []
    for task in bounded[1:]:
        try:
            running.append(executor.submit(task))
        except RuntimeError:
            # The process is about to end, and takes no more work on.
            task()
    for task in bounded[:1]:
        task()
    for each in running:
        each.result()


def _survived(name: str, task: Task, deadline: Deadline) -> None:
    with best_effort(name), within(deadline.settled_at_s()):
        task()
