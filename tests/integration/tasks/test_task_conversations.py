"""Tasks in conversations: a run is one turn, however often it asks a model, and not at all if another has the turn."""

import json
import threading
from typing import Any

import pytest

from sluice.api.authentication import authenticate
from sluice.chat import ChatRequest
from sluice.gateway.request import RequestContext
from sluice.routing.deadline import Deadline
from tests.chat_server import eventually
from tests.conftest import Aws
from tests.conversations import turns_of
from tests.fakes.client import FakeProvider
from tests.rest_function import RestAnswer
from tests.tasks import CASE, SUM, Tasks, example_of

TWO_CASES = {**SUM, "num_cases": 2}
QUESTION = {"question": "How would you explain indexes?", "category": "Databases", "expected_points": ["It depends."]}
INTERVIEW = {"role": "Backend engineer", "question_count": 1, "categories": ["Databases"]}


def said(fake: FakeProvider) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in fake.last_body()["messages"]]


def has_been_asked(fake: FakeProvider, times: int) -> None:
    eventually(lambda: len(fake.requests()) == times)


def test_a_run_remembers_what_was_said_before(tasks: Tasks, fake: FakeProvider) -> None:
    fake.configure(answer="Too many connections.")
    first = tasks.run("explanation", example_of("explanation"), conversation_id="c1")
    assert first.body["conversation_id"] == "c1"
    fake.configure(answer="As I said.")
    assert tasks.run("explanation", example_of("explanation"), conversation_id="c1").body["output"] == "As I said."
    assert [role for role, _ in said(fake)] == ["system", "user", "assistant", "user"]
    assert said(fake)[2][1] == "Too many connections."
    alone = tasks.run("explanation", example_of("explanation"), conversation_id="c2")
    assert (alone.body["output"], alone.body["cached"]) == ("Too many connections.", True)
    assert len(fake.requests()) == 2


def test_what_a_task_is_told_is_for_its_run_alone(tasks: Tasks, fake: FakeProvider) -> None:
    principal = authenticate(f"Bearer {tasks.api_key}", tasks.app.verifier)

    def chat(number: int, *messages: tuple[str, str]) -> None:
        spoken = [{"role": role, "content": content} for role, content in messages]
        request = {"model": "auto", "messages": spoken, "metadata": {"conversation_id": "c1"}}
        context = RequestContext(f"req_{number}", Deadline.of_request(30))
        tasks.app.gateway.complete(ChatRequest.model_validate(request), principal, context)

    chat(1, ("system", "Be brief."), ("user", "1?"))
    assert tasks.run("explanation", example_of("explanation"), conversation_id="c1").status == 200
    assert said(fake)[0] != ("system", "Be brief.")
    chat(2, ("user", "2?"))
    assert [text for role, text in said(fake) if role == "system"] == ["Be brief."]
    assert len(said(fake)) == 6


@pytest.mark.parametrize("task", ["explanation", "question_generation"])
def test_a_wrong_conversation_is_refused_at_its_field_whoever_would_answer(
    tasks: Tasks, fake: FakeProvider, task: str
) -> None:
    fake.configure(answer=json.dumps({"questions": [QUESTION]}))
    inputs = INTERVIEW if task == "question_generation" else example_of(task)
    assert tasks.run(task, inputs, conversation_id="c1", user="ann").status == 200
    asked = len(fake.requests())
    answer = tasks.run(task, inputs, conversation_id="a/ b\n")
    assert (answer.status, answer.error["param"]) == (400, "conversation_id")
    answer = tasks.run(task, inputs, conversation_id="c1", user="bob")
    assert (answer.status, answer.error["code"]) == (404, "conversation_not_found")
    assert len(fake.requests()) == asked


def test_a_run_that_asks_twice_is_one_turn_and_what_it_answered_is_remembered(
    aws: Aws, tasks: Tasks, fake: FakeProvider
) -> None:
    other = CASE | {"input": "2 3", "expected_output": "5"}
    fake.configure(answers=[json.dumps({"test_cases": [CASE]}), json.dumps({"test_cases": [other]})])
    answer = tasks.run("test_case_generation", TWO_CASES, conversation_id="c1")
    assert [case["input"] for case in answer.body["output"]["test_cases"]] == ["1 2", "2 3"]
    assert len(fake.requests()) == 2
    [turn] = turns_of(aws, "acme#c1")
    assert json.loads(turn.messages[-1].text) == answer.body["output"]
    assert turn.made_of is not None
    assert (turn.made_of.task, turn.made_of.inputs["num_cases"]) == ("test_case_generation", 2)
    fake.configure(answers=[], answer="They add.")
    tasks.run("explanation", example_of("explanation"), conversation_id="c1")
    assert "2 3" in said(fake)[2][1]


def test_what_the_question_bank_answers_is_a_turn_too(aws: Aws, tasks: Tasks, fake: FakeProvider) -> None:
    fake.configure(answer=json.dumps({"questions": [QUESTION]}))
    for conversation in (None, "c1", "c1"):
        more = {} if conversation is None else {"conversation_id": conversation}
        assert tasks.run("question_generation", INTERVIEW, **more).status == 200
    assert len(fake.requests()) == 1
    assert [str(QUESTION["question"]) in turn.messages[-1].text for turn in turns_of(aws, "acme#c1")] == [True, True]


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [({"model": "nobody"}, 404, "model"), ({"max_tokens": 10**9}, 400, "max_tokens")],
)
def test_what_a_model_would_be_refused_for_the_bank_is_too(
    tasks: Tasks, fake: FakeProvider, more: dict[str, Any], status: int, param: str
) -> None:
    fake.configure(answer=json.dumps({"questions": [QUESTION]}))
    assert tasks.run("question_generation", INTERVIEW).status == 200
    answer = tasks.run("question_generation", INTERVIEW, **more)
    assert (answer.status, answer.error["param"]) == (status, param)


@pytest.mark.parametrize(
    ("task", "inputs", "model_says"),
    [
        ("explanation", {"issue_details": "FATAL: too many clients"}, ["An answer."]),
        ("question_generation", INTERVIEW, ["{}", json.dumps({"questions": [QUESTION]})]),
        ("test_case_generation", {**SUM, "num_cases": 1}, ["{}", json.dumps({"test_cases": [CASE]})]),
    ],
)
def test_while_a_run_has_the_turn_another_gets_409_and_has_spent_nothing(
    aws: Aws, tasks: Tasks, fake: FakeProvider, task: str, inputs: dict[str, Any], model_says: list[str]
) -> None:
    """Also between two of its questions: neither is refused after it was paid for."""
    fake.configure(answers=model_says, latency_s=1.5)
    answers: list[RestAnswer] = []
    first = threading.Thread(target=lambda: answers.append(tasks.run(task, inputs, conversation_id="c1")))
    first.start()
    spent: list[Any] = []
    for number in range(len(model_says)):
        has_been_asked(fake, number + 1)
        spent.append(aws.dynamodb.scan(TableName=aws.table("QUOTA_TABLE"))["Items"])
        refused = tasks.run(task, inputs, conversation_id="c1")
        assert (refused.status, refused.error["code"]) == (409, "conversation_busy")
        assert refused.error["param"] == "conversation_id"
        assert aws.dynamodb.scan(TableName=aws.table("QUOTA_TABLE"))["Items"] == spent[-1]
    first.join()
    assert answers[0].status == 200, answers[0].raw
    assert len(fake.requests()) == len(model_says)
    assert len(turns_of(aws, "acme#c1")) == 1


def test_a_run_that_fails_leaves_the_conversation_as_it_was(aws: Aws, tasks: Tasks, fake: FakeProvider) -> None:
    fake.configure(answer="{}")
    assert tasks.run("test_case_generation", TWO_CASES, conversation_id="c1").status == 502
    assert turns_of(aws, "acme#c1") == []
    tasks.restart()
    fake.configure(answer=json.dumps({"test_cases": [CASE]}))
    answer = tasks.run("test_case_generation", {**SUM, "num_cases": 1}, conversation_id="c1")
    assert answer.status == 200, answer.raw
    assert len(turns_of(aws, "acme#c1")) == 1
