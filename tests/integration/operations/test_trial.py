"""POST /v1/providers/test: a deployment is asked for a word, within its limits."""

from typing import Any

import pytest

from functions.operations.app import ROUTES as FUNCTION_ROUTES
from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction

DEPLOYMENT = "fake-1#small"


@pytest.fixture
def operations(chat: ChatServer) -> RestFunction:
    """The function, with the admin's key."""
    return RestFunction(FUNCTION_ROUTES, chat.aws.admin_key)


def tried(operations: RestFunction, deployment: str = DEPLOYMENT) -> dict[str, Any]:
    answer = operations.send("POST /v1/providers/test", {"deployment": deployment})
    assert answer.status == 200, answer.raw
    found: dict[str, Any] = answer.body
    return found


def used(operations: RestFunction) -> int:
    [row] = operations.send("GET /api/groq/quota").body["data"]
    requests: int = row["limits"]["rpm"]["used"]
    return requests


def test_a_deployment_that_answers_passes_and_counts_against_its_limits(operations: RestFunction) -> None:
    found = tried(operations)
    assert (found["passed"], found["deployment"]) == (True, DEPLOYMENT)
    assert found["says"] == f"{DEPLOYMENT} answered in {found['time_ms']} ms."
    assert found["cost_usd"] > 0
    assert used(operations) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [("500", "failed or could not be reached (500)"), ("401", "was refused its key (401)"), ("429", "(429)")],
)
def test_one_that_fails_says_with_what_and_is_asked_once(
    fake: FakeProvider, operations: RestFunction, fault: str, says: str
) -> None:
    fake.add_fault(fault, times=None)
    found = tried(operations)
    assert found["passed"] is False
    assert says in found["says"]
    assert found["time_ms"] >= 1


def test_one_that_is_left_alone_is_not_asked(fake: FakeProvider, operations: RestFunction) -> None:
    fake.add_fault("401", times=1)
    tried(operations)
    found = tried(operations)
    assert (found["passed"], found["time_ms"]) == (False, None)
    assert "Its provider was not asked" in found["says"]


def test_a_deployment_without_quota_is_not_asked(
    aws: Aws, chat: ChatServer, fake: FakeProvider, operations: RestFunction
) -> None:
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(limits={"requests_per_minute": 1})}))
    operations.restart()
    assert tried(operations)["passed"] is True
    assert "out of requests per minute" in tried(operations)["says"]


def test_only_admins_try_deployments_and_only_those_there_are(chat: ChatServer, operations: RestFunction) -> None:
    missing = operations.send("POST /v1/providers/test", {"deployment": "nobody#none"})
    assert (missing.status, missing.error["param"]) == (404, "deployment")
    operator = chat.key("acme", role="operator")
    assert operations.send("POST /v1/providers/test", {"deployment": DEPLOYMENT}, api_key=operator).status == 403
