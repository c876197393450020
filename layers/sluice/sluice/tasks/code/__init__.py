"""Tasks with code of their own.

A task's code is a function that answers checked inputs. It asks the model through `call`, once, twice or not at all,
and returns the task's output.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from sluice.chat import JsonObject
from sluice.gateway.request import RequestContext
from sluice.loading.dataclass import dataclass
from sluice.tasks.fields import Inputs
from sluice.tasks.task import Task
from sluice.tenants.principal import Principal

if TYPE_CHECKING:
    from sluice.cache.store import ResponseCache
    from sluice.cache.sums import CacheSums
    from sluice.settings import Settings
    from sluice.tasks.question_bank.bank import QuestionBank


class TaskStores(Protocol):
    """What tasks' code keeps things in."""

    @property
    def settings(self) -> "Settings":
        """How the deployment is configured."""

    @property
    def question_bank(self) -> "QuestionBank":
        """Interview questions that models have written."""

    @property
    def response_cache(self) -> "ResponseCache":
        """Answers that may be served again."""

    @property
    def cache_sums(self) -> "CacheSums":
        """How much is cached."""


class Call(Protocol):
    """One run of a task, as its code sees it."""

    @property
    def principal(self) -> Principal:
        """Who asks."""

    @property
    def task(self) -> Task:
        """The version of the task that answers."""

    @property
    def stores(self) -> TaskStores:
        """What may be kept."""

    @property
    def context(self) -> RequestContext:
        """What comes with the request: its deadline, and whether it wants a new answer."""

    def ask(
        self, inputs: Inputs, *, anew: bool = False, keep: bool = True, schema: JsonObject | None = None
    ) -> JsonValue:
        """The model's output for these inputs. Raises SluiceError.

        `anew` is not from the cache, and without `keep` it is not put there either. `schema` is what servers that hold
        a model to one are given, where the inputs say more than the task's own does. The prompt has the task's: what
        callers wrote has no place among the author's words.
        """

    def admit(self, inputs: Inputs, source: str) -> None:
        """Count a run that `source` answers, for it asks no model. Refuses what would be refused if it did."""


@dataclass(frozen=True, slots=True)
class TaskCode:
    """`answer` returns a task's output, and `output` its JSON Schema, made of the one that the model is held to.

    With `checks_output`, the model's answers are not held against that before `answer` sees them.
    """

    answer: Callable[[Inputs, Call], JsonValue]
    output: Callable[[JsonObject], JsonObject]
    checks_output: bool = False


def code_of(name: str) -> TaskCode | None:
    """The code of a task, None if it has none. Imported here: a task needs at most its own."""
    match name:
        case "grade_feedback":
            from sluice.tasks.code import grade_feedback

            return TaskCode(grade_feedback.answer, grade_feedback.output)
        case "question_generation":
            from sluice.tasks.code import question_generation

            return TaskCode(question_generation.answer, question_generation.output, checks_output=True)
        case "test_case_generation":
            from sluice.tasks.code import test_case_generation

            return TaskCode(test_case_generation.answer, test_case_generation.output, checks_output=True)
        case _:
            return None


def output_schema(task: Task) -> JsonObject | None:
    """The JSON Schema of what callers get, None if it is a text. The task's own is what the model is held to."""
    code = code_of(task.name)
    return task.schema if code is None or task.schema is None else code.output(task.schema)


def with_properties(schema: JsonObject, properties: JsonObject, *, without: Collection[str] = ()) -> JsonObject:
    """The schema of an object with these required `properties` beside its own, or in place of them."""
    own = {name: each for name, each in schema["properties"].items() if name not in {*properties, *without}}
    required = [name for name in schema.get("required", ()) if name in own]
    return {**schema, "required": [*properties, *required], "properties": {**properties, **own}}
