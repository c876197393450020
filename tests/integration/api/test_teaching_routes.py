"""POST /api/tasks/{task_id}/generate-test-cases, through the function's own handler, with a fake provider behind it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.tasks import CASE, SUM, Tasks, serving_tasks

ROUTE = "POST /api/tasks/exercise-7/generate-test-cases"


@pytest.fixture
def tasks(aws: Aws, fake: FakeProvider) -> Iterator[Tasks]:
    """The function, whose model writes one test case."""
    fake.configure(answer=json.dumps({"test_cases": [CASE]}))
    with serving_tasks(aws, fake) as tasks:
        yield tasks


def test_test_cases_are_written_for_the_platform_s_exercise(tasks: Tasks, fake: FakeProvider) -> None:
    answer = tasks.send(ROUTE, SUM | {"num_cases": 1})
    assert answer.status == 200, answer.raw
    shown = answer.body
    assert (shown["task_id"], shown["test_cases"]) == ("exercise-7", [CASE])
    assert (shown["requested"], shown["rejected"], shown["cached"]) == (1, 0, False)
    assert shown["model"] == "fast"
    assert shown["tokens_used"] > 0
    assert shown["request_id"] == answer.headers["x-sluice-request-id"][0]
    assert "Add two numbers." in fake.last_body()["messages"][1]["content"]
    assert "exercise-7" not in json.dumps(fake.last_body())
    assert tasks.send(ROUTE, SUM | {"num_cases": 1}).body["cached"] is True


@pytest.mark.parametrize(
    "task_id", ["42", "65f1c0ffee", "a%20b", "%C3%BC", "x" * 200, "123e4567-e89b-12d3-a456-426614174000"]
)
def test_an_exercise_has_whatever_id_its_platform_gave_it(tasks: Tasks, task_id: str) -> None:
    answer = tasks.send(f"POST /api/tasks/{task_id}/generate-test-cases", SUM | {"num_cases": 1})
    assert answer.status == 200, answer.raw
    assert "%" not in answer.body["task_id"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "problem_statement"),
        (SUM | {"num_cases": 0}, "num_cases"),
        (SUM | {"num_cases": 51}, "num_cases"),
        (SUM | {"difficulty": "murderous"}, "difficulty"),
        (SUM | {"existing_cases": [{"input": 5}]}, "existing_cases[0].input"),
        (SUM | {"what": "ever"}, "what"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_sent(tasks: Tasks, fake: FakeProvider, body: Any, param: str) -> None:
    refused = tasks.send(ROUTE, body)
    assert (refused.status, refused.error["param"]) == (400, param)
    assert refused.error["message"].startswith(f"{param}: ")
    assert fake.requests() == []


def test_words_are_known_in_any_case(tasks: Tasks, fake: FakeProvider) -> None:
    assert tasks.send(ROUTE, SUM | {"num_cases": 1, "difficulty": "Hard"}).status == 200
    assert "Difficulty: hard" in fake.last_body()["messages"][1]["content"]


def test_it_takes_a_key(tasks: Tasks) -> None:
    assert tasks.send(ROUTE, SUM, api_key="").status == 401
