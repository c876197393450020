"""What someone at http://localhost:8080/v1 sees: the official client, whole and streamed, and a real model."""

import http.client
import json
import time

import httpx
import openai
import pytest

from tests.e2e.conftest import FAKE_MODEL
from tests.fakes import FakeProcess
from tools.model import ALIAS
from tools.stack import RunningStack


@pytest.fixture
def client(stack: RunningStack) -> openai.OpenAI:
    return openai.OpenAI(base_url=stack.stack.base_url, api_key=stack.stack.api_key, max_retries=0, timeout=120)


def test_a_newcomer_gets_a_streamed_answer_from_a_real_model(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=ALIAS,
        messages=[{"role": "user", "content": "Why is the sky blue?"}],
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip()
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_a_whole_answer_says_how_it_came_about(client: openai.OpenAI, fake_provider: FakeProcess) -> None:
    fake_provider.configure(answer="as told")
    answer = client.chat.completions.with_raw_response.create(
        model=FAKE_MODEL, messages=[{"role": "user", "content": "how did this come about?"}]
    )
    assert answer.parse().choices[0].message.content == "as told"
    assert answer.headers["x-sluice-model"] == FAKE_MODEL
    assert "fake-1" in answer.headers["x-sluice-deployment"]


def test_chunks_arrive_when_the_provider_sends_them(client: openai.OpenAI, fake_provider: FakeProcess) -> None:
    fake_provider.configure(answer="one two three four five six seven eight")
    fake_provider.add_fault("slow", delay_s=0.2)
    stream = client.chat.completions.create(
        model=FAKE_MODEL, messages=[{"role": "user", "content": "count slowly"}], stream=True
    )
    arrived = [time.monotonic() for chunk in stream if chunk.choices]
    assert len(arrived) > 4
    assert arrived[-1] - arrived[0] > 0.5


def test_a_path_that_is_not_chat_s_goes_to_the_deployed_api(stack: RunningStack) -> None:
    headers = {"authorization": f"Bearer {stack.stack.admin_key}"}
    answer = httpx.get(f"{stack.stack.base_url}/tenants?limit=1", headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["x-amzn-requestid"], "API Gateway's own header"
    assert len(answer.json()["data"]) == 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", "/models"), ("GET", "/chat/completions")])
def test_what_there_is_not_is_said_in_openai_s_envelope(method: str, path: str, stack: RunningStack) -> None:
    answer = httpx.request(method, stack.stack.base_url + path, timeout=60)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("not_found", "invalid_request_error")
    assert error["message"].startswith("There is no such path, or not with this method.")


def test_operator_and_caller_may_not_administer(stack: RunningStack) -> None:
    for key in (stack.stack.api_key, stack.stack.operator_key):
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.get(f"{stack.stack.base_url}/tenants", headers=headers, timeout=60)
        assert answer.status_code == 403
        assert answer.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/../../../../_ministack/health", {}),
        ("/v1/../../../../../_ministack/health", {}),
        ("/%2e%2e/%2e%2e/%2e%2e/%2e%2e/_ministack/health", {}),
        ("//_ministack/health", {}),
        ("/_ministack/health", {}),
        ("/?Action=GetCallerIdentity&Version=2011-06-15", {}),
        ("/nothing", {"x-amz-target": "secretsmanager.ListSecrets", "content-type": "application/x-amz-json-1.1"}),
        ("/nothing", {"authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}),
        ("/nothing", {"x-sluice-front-door": "a guess"}),
    ],
)
def test_a_caller_reaches_the_deployed_api_and_nothing_else_of_ministack(
    target: str, headers: dict[str, str], stack: RunningStack
) -> None:
    port = httpx.URL(stack.stack.base_url).port
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    if target.startswith("/?"):
        # The root leads to the console, whatever is asked of it.
        assert answer.status == 302
        assert answer.headers["location"].endswith("console")
    else:
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (404, "not_found")
    connection.close()
