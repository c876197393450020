"""Providers and tables that fail: who answers instead, what the caller is told, and what stays counted."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sluice.storage.service_config import ServiceConfig
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.tcp_proxy import TcpProxy

BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 20}
TIMEOUT_S = 0.4
REQUEST_TIMEOUT_S = 3.0
NOT_COUNTED = ["500", "503", "429", "401"]
MAY_BE_COUNTED = ["reset", "garbage", "empty_choices", "hang", "drip"]


@pytest.fixture
def pair(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """Two credentials for one model, `one` before `two`, with a budget to spend."""
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", str(REQUEST_TIMEOUT_S))
    aws.set_credentials(*(gateway(fake, alias, timeout_s=TIMEOUT_S) for alias in ("one", "two")))
    with serving(aws) as chat:
        yield chat


def rich(chat: ChatServer) -> str:
    """A key of a tenant whose budget is counted."""
    return chat.tenant("rich", budget_usd_per_month="10", cache_ttl_seconds=0)


def counted(chat: ChatServer) -> dict[str, dict[str, int]]:
    """What is counted now, by whole scope."""
    found = {}
    for scope, state in chat.quota().items():
        taken = {name: total for name, total in state.totals.items() if total}
        if taken:
            found[scope] = taken
    return found


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize(
    ("fault", "streamed"),
    [
        *((fault, streamed) for fault in [*NOT_COUNTED, *MAY_BE_COUNTED] for streamed in (False, True)),
        # A stream that breaks off midway has begun: nobody can take over.
        ("cut", False),
        ("hang_midway", False),
    ],
)
def test_when_one_deployment_fails_the_next_answers(
    pair: ChatServer, fake: FakeProvider, fault: str, streamed: bool
) -> None:
    fake.add_fault(fault, api_key="key-one", times=None)
    answer = pair.post(BODY | {"stream": streamed}, api_key=rich(pair))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-deployment"] == "two#small"
    assert answer.headers["x-sluice-attempts"] == "2"
    assert "Hello" in answer.text
    now = counted(pair)
    # The request was sent, so it stays counted; its tokens do where they may have been billed.
    assert now["deployment#one#small"]["requests_per_minute"] == 1
    assert ("tokens_per_minute" in now["deployment#one#small"]) == (fault not in NOT_COUNTED)
    assert now["deployment#two#small"]["requests_per_minute"] == 1
    [caller] = [taken for scope, taken in now.items() if scope.startswith("caller#")]
    assert caller == {"requests_per_minute": 1, "requests_per_day": 1}


@pytest.mark.parametrize("fault", ["500", "503", "401"])
def test_when_every_provider_is_down_what_was_sent_stays_counted_and_nothing_is_paid(
    pair: ChatServer, fake: FakeProvider, fault: str
) -> None:
    fake.add_fault(fault, times=None)
    key = rich(pair)
    started_s = time.monotonic()
    answer = pair.post(BODY, api_key=key)
    assert time.monotonic() - started_s < REQUEST_TIMEOUT_S + 1
    assert answer.status_code in (503, 504)
    error = error_of(answer)
    assert error["type"] == "server_error"
    assert "one#small" in error["message"]
    assert "two#small" in error["message"]
    sent = {scope.split("#")[0]: taken for scope, taken in counted(pair).items()}
    assert sent["caller"] == {"requests_per_minute": 1, "requests_per_day": 1}
    assert sent["deployment"].keys() == {"requests_per_minute", "requests_per_day"}
    assert "tenant" not in sent
    requests = [taken["requests_per_minute"] for scope, taken in counted(pair).items() if "deployment" in scope]
    assert sum(requests) == len(fake.requests()) >= 2
    assert pair.count("USAGE_TABLE") == 0
    assert pair.count("RESPONSE_CACHE_TABLE") == 0


def test_a_provider_that_is_not_there_costs_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "1")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        entry = {"provider": "gateway", "alias": "gone", "api_key": "k", "base_url": f"http://127.0.0.1:{port}/v1"}
        aws.set_credentials(entry | {"models": {"small": model()}})
        with serving(aws) as chat:
            for streamed in (False, True):
                answer = chat.post(BODY | {"stream": streamed})
                assert answer.status_code == 503
                assert "gone#small (Unavailable)" in error_of(answer)["message"]
            assert counted(chat) == {}


def test_a_rate_limited_deployment_is_left_alone_until_it_said(pair: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("429", api_key="key-one", retry_after="30")
    fake.add_fault("429", api_key="key-two", retry_after="7.2")
    before_ms = time.time() * 1000
    answer = pair.post(BODY)
    after_ms = time.time() * 1000
    assert answer.status_code == 429, answer.text
    assert error_of(answer)["code"] == "rate_limit_exceeded"
    assert answer.headers["retry-after"] == "8"
    assert len(fake.requests()) == 2
    for scope, wait_ms in (("deployment#one#small", 30_000), ("deployment#two#small", 7_200)):
        assert before_ms + wait_ms - 1 <= pair.quota()[scope].item.blocked_until_ms <= after_ms + wait_ms + 1
    assert counted(pair)["deployment#one#small"] == {"requests_per_minute": 1, "requests_per_day": 1}
    # Both are blocked now: nobody is asked.
    again = pair.post(BODY)
    assert again.status_code == 429
    assert again.headers["retry-after"] in {"7", "8"}
    assert len(fake.requests()) == 2


def test_a_block_without_end_is_not_believed(pair: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("429", api_key="key-one", retry_after="1" + "0" * 306)
    assert pair.post(BODY).status_code == 200
    assert pair.quota()["deployment#one#small"].item.blocked_until_ms <= (time.time() + 86_400) * 1000


def test_some_out_of_quota_and_some_down_says_when_to_come_back(pair: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("429", api_key="key-one", retry_after="30")
    fake.add_fault("401", api_key="key-two")
    answer = pair.post(BODY)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
    assert "two#small (Authentication)" in error_of(answer)["message"]


def test_a_refused_credential_is_taken_out_and_counted(
    pair: ChatServer, fake: FakeProvider, aws: Aws, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.configure(api_keys=["key-two", "key-mended"])
    for seed in range(3):
        answer = pair.post(BODY | {"seed": seed})
        assert answer.headers["x-sluice-deployment"] == "two#small"
    assert [arrival["api_key"] for arrival in fake.requests()].count("key-one") <= 1
    assert fake.state()["requests"] <= 4
    output = capfd.readouterr().out
    assert '"CredentialRefused"' in output
    assert '"credential":"one"' in output.replace(": ", ":")
    assert "key-one" not in output


def test_a_hanging_provider_is_answered_within_the_deadline(pair: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("hang", times=None)
    for streamed in (False, True):
        started_s = time.monotonic()
        answer = pair.post(BODY | {"stream": streamed})
        assert time.monotonic() - started_s < REQUEST_TIMEOUT_S + 1
        assert answer.status_code in (503, 504)
        assert "Timeout" in error_of(answer)["message"]
    [caller] = [taken for scope, taken in counted(pair).items() if scope.startswith("caller#")]
    assert caller["requests_per_minute"] == 2


@pytest.mark.parametrize("fault", ["no_usage", "negative_usage", "huge_usage", "string_usage"])
def test_a_wrong_usage_poisons_nothing(pair: ChatServer, fake: FakeProvider, fault: str) -> None:
    fake.add_fault(fault, times=None)
    key = rich(pair)
    for streamed in (False, True):
        answer = pair.post(BODY | {"stream": streamed}, api_key=key)
        assert answer.status_code == 200
        assert "Hello" in answer.text
    deployments = {scope: taken for scope, taken in counted(pair).items() if scope.startswith("deployment#")}
    # The estimate stays: at least the prompt, and the 20 tokens that were allowed.
    for taken in deployments.values():
        assert taken["tokens_per_minute"] >= 23 * taken["requests_per_minute"]
        assert taken["tokens_per_minute"] <= 100 * taken["requests_per_minute"]
    assert sum(taken["requests_per_minute"] for taken in deployments.values()) == 2
    assert 0 < counted(pair)["tenant#rich"]["nanousd_per_month"] < 1_000_000


def test_a_usage_of_nothing_is_not_believed(pair: ChatServer, fake: FakeProvider) -> None:
    fake.configure(usage={"prompt_tokens": 0, "completion_tokens": 0})
    assert pair.post(BODY).status_code == 200
    [taken] = [taken for scope, taken in counted(pair).items() if scope.startswith("deployment#")]
    assert taken["tokens_per_minute"] > 20


def test_the_circuit_opens_after_five_failures_and_lets_one_request_probe(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "3")
    aws.set_credentials(gateway(fake, "circuit-open"))
    fake.add_fault("500", times=None)
    with serving(aws) as chat:
        while len(fake.requests()) < 5:
            assert chat.post(BODY).status_code in (503, 504)
        for _ in range(2):
            answer = chat.post(BODY)
            assert answer.status_code == 503
            assert "circuit-open#small (circuit open)" in error_of(answer)["message"]
        assert len(fake.requests()) == 5
        assert counted(chat)["deployment#circuit-open#small"]["requests_per_minute"] == 5
        fake.clear_faults()
        # A minute later, as another process sees it.
        table = aws.table("QUOTA_TABLE")
        [item] = [item for item in aws.items("QUOTA_TABLE") if "o" in item]
        item["o"] = {"N": str(int(item["o"]["N"]) - 61)}
        aws.dynamodb.put_item(TableName=table, Item=item)
        chat.restart()
        assert chat.post(BODY).status_code == 200
        assert chat.post(BODY | {"seed": 1}).status_code == 200


@pytest.mark.parametrize(
    ("missing", "survived"),
    [
        # A cache that can't be read is not written to.
        (("RESPONSE_CACHE_TABLE",), {"reading the cache"}),
        (("USAGE_TABLE",), {"recording usage", "writing the cache"}),
    ],
)
def test_cache_and_usage_failures_are_survived_and_counted(
    aws: Aws,
    fake: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    missing: tuple[str, ...],
    survived: set[str],
) -> None:
    for variable in missing:
        monkeypatch.setenv(variable, "there-is-no-such-table")
    aws.set_credentials(gateway(fake, "survivor"))
    with serving(aws) as chat:
        for streamed in (False, True):
            answer = chat.post(BODY | {"stream": streamed, "seed": int(streamed)})
            assert answer.status_code == 200
            assert "Hello" in answer.text
        now = counted(chat)
        assert now["deployment#survivor#small"]["requests_per_minute"] == 2
    output = capfd.readouterr().out
    assert set(re.findall(r'"action": ?"([^"]+)"', output)) == survived
    assert '"BookkeepingFailed"' in output


@pytest.fixture
def proxied(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ChatServer, TcpProxy]]:
    """A chat server that reaches DynamoDB by a line which can be cut."""
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", str(REQUEST_TIMEOUT_S))
    aws.set_credentials(gateway(fake, "proxied"))
    with TcpProxy(ServiceConfig.from_environment("DYNAMODB")) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
        with serving(aws) as chat:
            yield chat, proxy


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", ["cut", "silent", "throttled"])
def test_an_answer_is_given_though_the_books_cannot_be_closed(
    proxied: tuple[ChatServer, TcpProxy],
    fake: FakeProvider,
    mode: str,
    streamed: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    chat, proxy = proxied
    fake.configure(latency_s=0.5)
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(chat.post, BODY | {"stream": streamed})
        while not fake.requests():
            time.sleep(0.01)
        asked_s, proxy.mode = time.monotonic(), mode
        answer = asked.result()
        # It was asked a little before.
        assert time.monotonic() - asked_s < REQUEST_TIMEOUT_S
    assert answer.status_code == 200
    assert "Hello" in answer.text
    output = capfd.readouterr().out.replace(": ", ":")
    for action in ("settling a deployment", "recording usage", "writing the cache"):
        assert f'"action":"{action}"' in output
    # Now a reservation can't be made: the key is known, and still nobody is asked.
    refused = chat.post(BODY | {"seed": 1, "stream": streamed})
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "quota_unavailable"
    assert len(fake.requests()) == 1
    proxy.mode = "open"
    # What was not settled stays counted as it was reserved: too much rather than too little.
    assert chat.quota()["deployment#proxied#small"].totals["requests_per_minute"] == 1
    assert chat.post(BODY | {"seed": 2, "stream": streamed}).status_code == 200


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_failure_is_told_in_time_though_nothing_can_be_written(
    proxied: tuple[ChatServer, TcpProxy], fake: FakeProvider, streamed: bool
) -> None:
    chat, proxy = proxied
    fake.configure(latency_s=0.5)
    fake.add_fault("500", times=None)
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(chat.post, BODY | {"stream": streamed})
        while not fake.requests():
            time.sleep(0.01)
        asked_s, proxy.mode = time.monotonic(), "silent"
        answer = asked.result()
        assert time.monotonic() - asked_s < REQUEST_TIMEOUT_S
    assert answer.status_code in (503, 504)


@pytest.mark.parametrize(
    ("variable", "code"), [("QUOTA_TABLE", "quota_unavailable"), ("DIRECTORY_TABLE", "storage_unavailable")]
)
def test_without_a_reservation_or_a_known_caller_nobody_is_asked(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, variable: str, code: str
) -> None:
    aws.set_credentials(gateway(fake, "unreachable"))
    with serving(aws) as chat:
        monkeypatch.setenv(variable, "there-is-no-such-table")
        chat.restart()
        for streamed in (False, True):
            answer = chat.post(BODY | {"stream": streamed})
            assert answer.status_code == 503
            assert error_of(answer)["code"] == code
    assert fake.requests() == []


def test_without_the_credentials_secret_nobody_is_asked(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_SECRET", "there-is-no-such-secret")
    with serving(aws) as chat:
        answer = chat.post(BODY)
        assert answer.status_code == 503
        assert error_of(answer)["code"] == "storage_unavailable"
        assert chat.counted() == {}
        headers = {"authorization": f"Bearer {chat.api_key}"}
        assert httpx.get(chat.base_url + "/models", headers=headers).status_code == 503
