"""What is counted of each version of a task, and what people say of its answers."""

import json
from typing import Any

import pytest

from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.tasks import CASE, QUESTIONS, SUM, Tasks, definition, example_of


def test_feedback_counts_for_the_version_that_answered_and_the_last_word_holds(tasks: Tasks) -> None:
    tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
    tasks.send("POST /v1/tasks/remediation/versions/1/activate")
    first, second = (tasks.run("remediation", {"issue_details": text}).body["request_id"] for text in "ab")
    rated = tasks.send("POST /v1/feedback", {"request_id": first, "score": 2, "comment": "Too long."})
    assert (rated.body["task"], rated.body["version"]) == ("remediation", "1")
    shown = tasks.send("GET /v1/tasks/remediation/results").body["comments"]
    assert shown == [{"request_id": first, "version": "1", "score": 2, "comment": "Too long."}]
    tasks.send("POST /v1/feedback", {"request_id": first, "score": 4})
    tasks.send("POST /v1/feedback", {"request_id": second, "score": 5})
    results = tasks.send("GET /v1/tasks/remediation/results", query={"days": "1"}).body
    assert results["comments"] == []
    [result] = results["data"]
    assert result["feedback"] == {"count": 2, "mean_score": 4.5}
    assert result["requests"] == 2
    assert result["mean_response_time_ms"] >= 0


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"request_id": "req_unknown"}, 404, "request_id"),
        ({"score": 6}, 400, "score"),
        ({"score": 0}, 400, "score"),
        ({"score": 4.5}, 400, "score"),
        ({"comment": ""}, 400, "comment"),
        ({"stars": 3}, 400, "stars"),
    ],
)
def test_wrong_feedback_is_refused(tasks: Tasks, change: dict[str, Any], status: int, param: str) -> None:
    answer = tasks.send("POST /v1/feedback", {"request_id": "req_x", "score": 3, **change})
    assert (answer.status, answer.error["param"]) == (status, param)


def test_feedback_on_another_tenant_s_request_is_not_found(tasks: Tasks) -> None:
    inputs = example_of("explanation")
    request_id = tasks.run("explanation", inputs).body["request_id"]
    other = tasks.tenant("other")
    feedback = {"request_id": request_id, "score": 1}
    assert tasks.send("POST /v1/feedback", feedback, api_key=other).status == 404
    assert tasks.send("POST /v1/feedback", feedback).status == 200


def test_feedback_is_given_by_who_asked_and_comments_are_read_by_operators(tasks: Tasks) -> None:
    caller, other = tasks.key("acme"), tasks.key("acme")
    inputs = example_of("explanation")
    request_id = tasks.run("explanation", inputs, api_key=caller).body["request_id"]
    feedback = {"request_id": request_id, "score": 1, "comment": "Not what I asked for."}
    for key in (other, tasks.api_key):
        refused = tasks.send("POST /v1/feedback", feedback, api_key=key)
        assert (refused.status, refused.error["param"]) == (404, "request_id")
    assert tasks.send("GET /v1/tasks/explanation/results").body["comments"] == []
    assert tasks.send("POST /v1/feedback", feedback, api_key=caller).status == 200
    assert [each["comment"] for each in tasks.send("GET /v1/tasks/explanation/results").body["comments"]] == [
        "Not what I asked for."
    ]
    shown = tasks.send("GET /v1/tasks/explanation/results", api_key=caller).body
    assert shown["comments"] is None
    assert shown["data"][0]["feedback"] == {"count": 1, "mean_score": 1}


def test_a_request_that_sluice_0_1_remembered_is_rated_by_its_tenant(tasks: Tasks, aws: Aws) -> None:
    request_id = tasks.run("explanation", example_of("explanation")).body["request_id"]
    key = {"tenant_day": {"S": f"task-request#acme#{request_id}"}, "hour_route": {"S": "request"}}
    aws.dynamodb.update_item(TableName=aws.table("USAGE_TABLE"), Key=key, UpdateExpression="REMOVE caller")
    feedback = {"request_id": request_id, "score": 1}
    assert tasks.send("POST /v1/feedback", feedback, api_key=tasks.key("acme")).status == 200


def test_a_user_s_name_is_kept_with_no_request_and_no_comment(tasks: Tasks, aws: Aws) -> None:
    inputs = example_of("explanation")
    request_id = tasks.run("explanation", inputs, user="ada@example.com").body["request_id"]
    tasks.send("POST /v1/feedback", {"request_id": request_id, "score": 5, "comment": "Good."})
    kept = [item for item in aws.items("USAGE_TABLE") if item["tenant_day"]["S"].startswith("task-")]
    assert len({item["user"]["S"] for item in kept if "user" in item}) == 1
    assert "ada" not in json.dumps(kept)


def test_a_provider_that_is_down_is_a_503_and_counts_for_no_version(tasks: Tasks, fake: FakeProvider) -> None:
    fake.add_fault("500", times=50)
    answer = tasks.run("explanation", example_of("explanation"))
    assert answer.status == 503
    assert tasks.send("GET /v1/tasks/explanation/results").body["data"] == []


def test_an_answer_that_breaks_its_rules_counts_against_its_version(tasks: Tasks, fake: FakeProvider) -> None:
    fake.configure(answers=["no JSON", "{}"], answer=json.dumps({"test_cases": [CASE]}))
    inputs = {**SUM, "num_cases": 1}
    assert tasks.run("statement_analysis", example_of("statement_analysis")).error["code"] == "invalid_answer"
    [result] = tasks.send("GET /v1/tasks/statement_analysis/results").body["data"]
    assert (result["requests"], result["failures"], result["mean_quality"]) == (1, 1, 0)
    good = tasks.run("test_case_generation", inputs).body
    [result] = tasks.send("GET /v1/tasks/test_case_generation/results").body["data"]
    assert (result["requests"], result["failures"]) == (1, 0)
    assert result["mean_quality"] == good["quality"]["score"]


@pytest.mark.parametrize(("query", "param"), [({"days": "0"}, "days"), ({"day": "3"}, "day")])
def test_a_wrong_query_is_refused_at_its_field(tasks: Tasks, query: dict[str, str], param: str) -> None:
    answer = tasks.send("GET /v1/tasks/explanation/results", query=query)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_an_answer_that_a_guard_withheld_names_no_input_and_counts_against_its_version(
    tasks: Tasks, fake: FakeProvider
) -> None:
    fake.configure(answer="The key is sk-proj-Zq8Lw3Xv9Bn2Mk5Jh7Gf4Ds6Ap1Qo0RtYuIeWqZxCvBn.")
    answer = tasks.run("explanation", example_of("explanation"))
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "secret-api-key", None)
    [result] = tasks.send("GET /v1/tasks/explanation/results").body["data"]
    assert (result["requests"], result["failures"]) == (1, 1)


def test_an_answer_that_its_caller_cut_off_is_no_failure_and_not_asked_for_again(
    tasks: Tasks, fake: FakeProvider
) -> None:
    fake.configure(answer=json.dumps(QUESTIONS))
    answer = tasks.run("question_generation", example_of("question_generation"), max_tokens=5)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (502, "invalid_answer", "max_tokens")
    assert len(fake.requests()) == 1
    assert tasks.send("GET /v1/tasks/question_generation/results").body["data"] == []


def test_results_are_in_the_order_of_their_versions(tasks: Tasks) -> None:
    for number in range(1, 11):
        tasks.send("POST /v1/tasks/remediation/versions", {"definition": definition()})
        if number in {2, 10}:
            tasks.send(f"POST /v1/tasks/remediation/versions/{number}/activate")
            tasks.run("remediation", {"issue_details": "a"})
    tasks.send("POST /v1/tasks/remediation/versions/shared/activate")
    tasks.run("remediation", {"issue_details": "a"})
    results = tasks.send("GET /v1/tasks/remediation/results").body["data"]
    assert [each["version"] for each in results] == ["shared", "2", "10"]


def test_bookkeeping_that_fails_takes_no_answer_away(
    tasks: Tasks, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USAGE_TABLE", "no-such-table")
    tasks.restart()
    fake.configure(answer="Still here.")
    answer = tasks.run("explanation", example_of("explanation"))
    assert (answer.status, answer.body["output"]) == (200, "Still here.")
    assert tasks.send("GET /v1/tasks/explanation/results").status == 503
