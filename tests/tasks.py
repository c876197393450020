"""The function tasks, through its own handler, with a fake provider behind the gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from functions.tasks.app import ROUTES
from sluice.catalog.reader import SHARED
from sluice.tasks.task import read_task
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.rest_function import RestAnswer, RestFunction

QUESTIONS = {
    "questions": [
        {"question": f"How would you explain {topic}?", "category": category, "expected_points": ["It depends."]}
        for topic, category in (("indexes", "Databases"), ("transactions", "Databases"), ("paging", "API design"))
    ]
}
SUM = {"problem_statement": "Add two numbers."}
CASE = {"input": "1 2", "expected_output": "3", "description": "Two numbers.", "category": "typical"}


class Tasks(RestFunction):
    """The function, and a key to it."""

    def run(self, name: str, inputs: object, *, api_key: str | None = None, **more: Any) -> RestAnswer:
        """Run a task."""
        return self.send(f"POST /v1/tasks/{name}", {"inputs": inputs, **more}, api_key=api_key)


@contextmanager
def serving_tasks(aws: Aws, fake: FakeProvider) -> Iterator[Tasks]:
    """The function with a model of each tier, and an operator's key."""
    limits = {"requests_per_minute": 1000, "tokens_per_minute": 10_000_000}
    price = {"prompt_usd": 1.0, "completion_usd": 2.0}
    models = {name: {"tier": name, "price": price, "limits": limits} for name in ("fast", "smart")}
    aws.set_credentials(
        {"provider": "gateway", "alias": "fake-1", "api_key": "k", "base_url": fake.openai_url, "models": models}
    )
    tasks = Tasks(ROUTES)
    tasks.tenant("acme")
    tasks.api_key = tasks.key("acme", role="operator")
    yield tasks


def example_of(name: str) -> dict[str, Any]:
    """The inputs of a task's first example."""
    return read_task(SHARED / "tasks" / f"{name}.toml").file.examples[0].inputs


def definition(**more: Any) -> dict[str, Any]:
    """A small task."""
    return {
        "group": "operations",
        "description": "Says something.",
        "system": "Be kind.",
        "user": "Say this:\n{{ issue_details }}",
        "inputs": {"issue_details": {"type": "string", "description": "What.", "required": True, "max_length": 100}},
        "output": {"format": "text"},
        **more,
    }
