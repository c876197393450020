"""Tasks with code of their own, through the function's own handler, with a fake provider that says what it likes."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.tasks import CASE, QUESTIONS, SUM, Tasks, example_of


def _one_model(aws: Aws, tasks: Tasks, fake: FakeProvider, **model: Any) -> None:
    """Leave nobody to ask but a model of the provider `local`."""
    tiny = {"tier": "fast", **model}
    aws.set_credentials(
        {"provider": "local", "alias": "local-1", "base_url": fake.openai_url, "models": {"tiny": tiny}}
    )
    tasks.restart()


def test_a_submission_s_score_stays_near_what_its_tests_say(tasks: Tasks, fake: FakeProvider) -> None:
    judged = {"score_percent": 95, "feedback": "Good.", "strengths": [], "improvements": ["Names."]}
    fake.configure(answer=json.dumps(judged))
    results = [{"name": "one", "passed": True, "points": 3}, {"name": "two", "passed": False}]
    inputs = {"exercise": "Add.", "code": "x = 1", "test_results": results, "max_score": 20}
    output = tasks.run("grade_feedback", inputs).body["output"]
    assert output["rule_based_score"] == 15
    assert output["model_score"] == 19
    assert output["score"] == 17  # 10 % of 20 above what the tests say
    assert output["was_bounded"] is True
    assert (output["tests_passed"], output["tests_failed"], output["feedback"]) == (1, 1, "Good.")


def test_invalid_test_cases_are_asked_for_once_more(tasks: Tasks, fake: FakeProvider) -> None:
    cases = [CASE, {**CASE, "description": "Again."}, {**CASE, "input": "2 2", "expected_output": ""}, "nonsense"]
    fake.configure(answer=json.dumps({"test_cases": cases}))
    answer = tasks.run("test_case_generation", {**SUM, "num_cases": 2})
    output = answer.body["output"]
    assert output["test_cases"] == [CASE]
    assert output["rejected"] == 7
    first, second = (request["body"]["messages"] for request in fake.requests())
    assert "Write exactly 2 test cases" in first[0]["content"]
    assert "Write exactly 1 test cases" in second[0]["content"]
    assert "1 2" in second[1]["content"]
    usage = answer.body["usage"]
    cost_usd = (usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1e6
    assert answer.body["cost_usd"] == pytest.approx(cost_usd)
    assert answer.headers["x-sluice-cost-usd"] == [f"{cost_usd:f}"]


def test_without_one_valid_test_case_there_is_no_answer(tasks: Tasks, fake: FakeProvider) -> None:
    fake.configure(answer=json.dumps({"test_cases": [{"input": 1}]}))
    answer = tasks.run("test_case_generation", {**SUM, "num_cases": 2})
    assert (answer.status, answer.error["code"]) == (502, "invalid_answer")
    assert len(fake.requests()) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("grade_feedback", {"score_percent": 50, "feedback": "Good.", "strengths": ["Names."], "improvements": ["-"]}),
        ("test_case_generation", {"test_cases": [CASE, {**CASE, "input": "2 2", "more": 1}, {**CASE, "input": 5}]}),
        ("question_generation", QUESTIONS),
    ],
)
def test_the_output_of_a_task_with_code_is_as_described_and_whole(
    tasks: Tasks, fake: FakeProvider, name: str, said: Any
) -> None:
    fake.configure(answer=json.dumps(said))
    answer = tasks.run(name, example_of(name)).body
    described = tasks.send(f"GET /v1/tasks/{name}").body["output"]["schema"]
    Draft202012Validator(described).validate(answer["output"])
    assert not Draft202012Validator(described).is_valid(said)
    assert answer["quality"]["structure"] == 1


def test_a_provider_that_takes_a_schema_is_asked_for_it(tasks: Tasks, fake: FakeProvider, aws: Aws) -> None:
    _one_model(aws, tasks, fake)
    fake.configure(answer=json.dumps({"test_cases": [CASE]}))
    answer = tasks.run("test_case_generation", {**SUM, "num_cases": 1})
    assert answer.status == 200, answer.raw
    sent = fake.last_body()["response_format"]
    assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "test_case_generation")
    cases = sent["json_schema"]["schema"]["properties"]["test_cases"]
    assert (cases["minItems"], cases["maxItems"]) == (1, 1)


def test_cases_that_were_paid_for_are_not_lost_when_the_rest_can_t_be_asked_for(
    tasks: Tasks, fake: FakeProvider, aws: Aws
) -> None:
    _one_model(aws, tasks, fake, limits={"requests_per_minute": 1})
    fake.configure(answer=json.dumps({"test_cases": [CASE]}))
    answer = tasks.run("test_case_generation", {**SUM, "num_cases": 2})
    assert answer.status == 200, answer.raw
    assert answer.body["output"] == {"test_cases": [CASE], "requested": 2, "rejected": 0}
    assert len(fake.requests()) == 1


def test_without_a_case_a_failure_to_ask_again_is_told(tasks: Tasks, fake: FakeProvider, aws: Aws) -> None:
    _one_model(aws, tasks, fake, limits={"requests_per_minute": 1})
    fake.configure(answer=json.dumps({"test_cases": []}))
    answer = tasks.run("test_case_generation", {**SUM, "num_cases": 2})
    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
