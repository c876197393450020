"""Tasks with code of their own.

A task's code is a function that answers checked inputs. It asks the model through `call`, once, twice or not at all,
and returns the task's output.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from sluice.chat import JsonObject
from sluice.gateway import RequestContext
from sluice.http.authentication import Principal
from sluice.tasks.fields import Inputs
from sluice.tasks.task import Task


class Call(Protocol):
    """One run of a task, as its code sees it."""

    @property
    def principal(self) -> Principal:
        """Who asks."""

    @property
    def task(self) -> Task:
        """The version of the task that answers."""

    @property
    def context(self) -> RequestContext:
        """What comes with the request: its deadline, and whether it wants a new answer."""

    def ask(self, inputs: Inputs, *, anew: bool = False, schema: JsonObject | None = None) -> JsonValue:
        """The model's output for these inputs, `anew` if not from the cache. Raises SluiceError.

        `schema` is what servers that hold a model to one are given, where the inputs say more than the task's own does.
        The prompt has the task's: what callers wrote has no place among the author's words.
        """

    def admit(self, source: str) -> None:
        """Count a run that `source` answers, for it asks no model. Raises QuotaExceededError."""


@dataclass(frozen=True, slots=True)
class TaskCode:
    """`answer` returns a task's output. With `checks_output`, JSON answers are not held against the task's schema."""

    answer: Callable[[Inputs, Call], JsonValue]
    checks_output: bool = False


def code_of(name: str) -> TaskCode | None:
    """The code of a task, None if it has none. Imported here: a task needs at most its own."""
    match name:
        case "grade_feedback":
            from sluice.tasks.code import grade_feedback

            return TaskCode(grade_feedback.answer)
        case "question_generation":
            from sluice.tasks.code import question_generation

            return TaskCode(question_generation.answer, checks_output=True)
        case "test_case_generation":
            from sluice.tasks.code import test_case_generation

            return TaskCode(test_case_generation.answer, checks_output=True)
        case _:
            return None
