"""What clients do with what is refused: the official SDK, over a real socket, with its own retries."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction

HELLO: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def short(chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """A gateway that takes a hundred characters."""
    monkeypatch.setenv("PROMPT_MAX_CHARACTERS", "100")
    chat.restart()
    return chat


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a" * 101}],
        [{"role": "system", "content": "a" * 60}, {"role": "user", "content": "b" * 60}],
        [{"role": "user", "content": [{"type": "text", "text": "a" * 60}, {"type": "text", "text": "b" * 60}]}],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b" * 101},
            {"role": "user", "content": "c"},
        ],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_is_an_overflow_of_the_context(
    short: ChatServer, fake: FakeProvider, messages: Any, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        short.openai(max_retries=2).chat.completions.create(model="small", messages=messages, stream=stream)
    assert (raised.value.code, raised.value.param) == ("context_length_exceeded", "messages")
    assert "at most 100" in raised.value.message
    assert fake.requests() == []


def test_a_prompt_of_just_the_size_is_answered_and_the_older_paths_name_their_field(
    short: ChatServer, fake: FakeProvider
) -> None:
    client = short.openai()
    client.chat.completions.create(model="small", messages=[{"role": "user", "content": "a" * 100}])
    url, headers = f"{short.root_url}/api/v1/llm/completion", {"authorization": f"Bearer {short.api_key}"}
    refused = httpx.post(url, json={"prompt": "a" * 101}, headers=headers).json()["error"]
    assert (refused["code"], refused["param"]) == ("context_length_exceeded", "prompt")
    assert len(fake.requests()) == 1


def test_a_tenant_may_have_a_prompt_of_any_size(short: ChatServer) -> None:
    key = short.tenant("wide", guard_modes={"prompt-oversized": "off"})
    long: list[Any] = [{"role": "user", "content": "a" * 500}]
    assert short.openai(key).chat.completions.create(model="small", messages=long).choices


def test_an_answer_that_is_no_json_is_not_asked_for_by_the_client_once_more(
    chat: ChatServer, fake: FakeProvider
) -> None:
    fake.configure(answer="no JSON at all")
    with pytest.raises(openai.InternalServerError) as raised:
        chat.openai(max_retries=2).chat.completions.create(
            model="small", messages=HELLO, response_format={"type": "json_object"}
        )
    assert (raised.value.status_code, raised.value.code) == (502, "invalid_answer")
    assert raised.value.response.headers["x-should-retry"] == "false"
    # Twice, as Sluice does, and not six times.
    assert len(fake.requests()) == 2


def test_credentials_that_nobody_can_use_are_not_asked_for_once_more(aws: Aws, chat: ChatServer) -> None:
    # Also the version before, which would serve.
    for broken in ("[", "{"):
        aws.secretsmanager.put_secret_value(SecretId=aws.variables["CREDENTIALS_SECRET"], SecretString=broken)
    chat.restart()
    answer = chat.post({"model": "small", "messages": HELLO})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (500, "false")
    assert answer.json()["error"]["code"] == "invalid_credentials"


def test_a_model_that_is_switched_off_is_not_asked_for_once_more(
    aws: Aws, chat: ChatServer, fake: FakeProvider
) -> None:
    aws.set_credentials(gateway(fake, "fake-1") | {"enabled": False})
    chat.restart()
    answer = chat.post({"model": "small", "messages": HELLO})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")


def test_a_budget_that_is_gone_is_not_waited_for(chat: ChatServer, fake: FakeProvider) -> None:
    key = chat.tenant("poor", budget_usd_per_month="0.000000001")
    answer = chat.post({"model": "small", "messages": HELLO}, api_key=key)
    assert answer.status_code == 429
    assert ("retry-after" in answer.headers) != (answer.headers.get("x-should-retry") == "false")
    assert fake.requests() == []


@pytest.mark.parametrize("fault", ["500", "503"])
def test_what_may_pass_is_left_to_the_client(chat: ChatServer, fake: FakeProvider, fault: str) -> None:
    fake.add_fault(fault, times=None)
    answer = chat.post({"model": "small", "messages": HELLO})
    assert answer.status_code == 503
    assert "x-should-retry" not in answer.headers


@pytest.mark.parametrize("status", [400, 401, 404, 405])
def test_what_no_client_sends_again_says_nothing_of_it(chat: ChatServer, status: int) -> None:
    body: Any = {"model": "small", "messages": HELLO}
    asked = {
        400: lambda: chat.post({}),
        401: lambda: chat.post(body, api_key="sl-nobody-" + "x" * 43),
        404: lambda: chat.post(body | {"model": "nobody"}),
        405: lambda: httpx.put(chat.base_url + "/chat/completions"),
    }
    answer = asked[status]()
    assert answer.status_code == status
    assert "x-should-retry" not in answer.headers


def test_an_argument_that_the_provider_can_t_process_stays_a_422(chat: ChatServer, fake: FakeProvider) -> None:
    said = {
        "error": {"message": "temperature: must be lower", "type": "invalid_request_error", "code": "unprocessable"}
    }
    fake.add_fault("raw", times=None, raw_status=422, message=json.dumps(said))
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        chat.openai(max_retries=2).chat.completions.create(model="small", messages=HELLO)
    assert "must be lower" in raised.value.message
    assert len(fake.requests()) == 1


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Write a haiku."}, {"role": "user", "content": ""}],
        [*HELLO, {"role": "assistant", "content": "Rayleigh."}, {"role": "user", "content": ""}],
        [{"role": "user", "content": ""}, *HELLO],
        [*HELLO, {"role": "assistant", "content": ""}],
        [{"role": "system", "content": ""}, *HELLO],
        [{"role": "system", "content": "Write a haiku."}],
        [*HELLO, {"role": "user", "content": [{"type": "text", "text": ""}]}],
    ],
)
def test_a_content_may_be_empty_where_a_model_may_answer(chat: ChatServer, fake: FakeProvider, messages: Any) -> None:
    assert chat.openai().chat.completions.create(model="small", messages=messages).choices
    assert fake.last_body()["messages"] == messages


@pytest.mark.parametrize("content", ["", " ", "\n", None, [], [{"type": "text", "text": ""}]])
def test_a_prompt_that_says_nothing_at_all_is_refused(chat: ChatServer, fake: FakeProvider, content: Any) -> None:
    refused = chat.post({"model": "small", "messages": [{"role": "user", "content": content}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "prompt-empty")
    assert fake.requests() == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_number_of_tokens_may_have_a_point(chat: ChatServer, fake: FakeProvider, name: str) -> None:
    chat.openai().chat.completions.create(model="small", messages=HELLO, extra_body={name: 100.0})
    sent = [value for field, value in fake.last_body().items() if field.startswith("max_")]
    assert (sent, type(sent[0])) == ([100], int)
    url, headers = f"{chat.root_url}/api/v1/llm/completion", {"authorization": f"Bearer {chat.api_key}"}
    assert httpx.post(url, json={"prompt": "Hi", "max_tokens": 50.0}, headers=headers).status_code == 200
    for wrong in (0.0, 1.5, -1.0, "1", 1e400):
        body = json.dumps({"model": "small", "messages": HELLO, name: wrong}).replace("Infinity", "1e400")
        assert chat.post(body).status_code == 400


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_format_that_only_its_provider_knows_passes_where_its_row_takes_it(
    aws: Aws, chat: ChatServer, fake: FakeProvider, is_allowed: bool
) -> None:
    allowed = ["response_format.regex"] if is_allowed else []
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}) | {"allowed_fields": allowed})
    chat.restart()
    regex: Any = {"type": "regex", "pattern": "a+"}
    create = chat.openai().chat.completions.create
    if is_allowed:
        assert create(model="small", messages=HELLO, response_format=regex).choices
        assert fake.last_body()["response_format"] == regex
        return
    with pytest.raises(openai.BadRequestError) as raised:
        create(model="small", messages=HELLO, response_format=regex)
    assert "response_format.type" in raised.value.message


def test_tasks_take_whole_numbers_with_a_point(tasks: RestFunction, fake: FakeProvider) -> None:
    fake.configure(answer=json.dumps({"test_cases": []}))
    body = {"inputs": {"problem_statement": "Add two numbers.", "num_cases": 3.0}, "max_tokens": 900.0}
    tasks.send("POST /v1/tasks/test_case_generation", body)
    assert "Number of test cases: 3\n" in fake.last_body()["messages"][1]["content"]
    assert fake.last_body()["max_tokens"] == 900


def test_keys_that_their_providers_refuse_are_not_asked_for_again_by_the_client(
    chat: ChatServer, fake: FakeProvider
) -> None:
    fake.configure(api_keys=["another"])
    # Refused by the provider, and then left alone for it.
    for seed in range(2):
        answer = chat.post({"model": "small", "messages": HELLO, "seed": seed})
        assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert len(fake.requests()) <= 1
