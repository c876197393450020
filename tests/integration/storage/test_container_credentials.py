"""Credentials from a container's endpoint: as they expire, after a snapshot was restored, and when it fails."""

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from sluice.errors import StorageUnavailableError
from sluice.storage.aws_credentials import ContainerCredentials, ContainerEndpoint
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ServiceError
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials
from tests.scripted_server import Act, ScriptedServer, answer, close, drip, http, raw, refuse

TOKEN = "Bearer of-the-container"
HOUR_S = 3600.0


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


def handed_out(number: int, expires_at_s: float) -> Act:
    """Credentials as Lambda hands them out."""
    return answer(
        {
            "AccessKeyId": f"ASIA{number}",
            "SecretAccessKey": f"secret{number}",
            "Token": f"token{number}",
            "Expiration": f"{datetime.fromtimestamp(expires_at_s, UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
    )


def credentials(number: int) -> Credentials:
    return Credentials(f"ASIA{number}", f"secret{number}", f"token{number}")


def source(server: ScriptedServer, clock: Callable[[], float]) -> ContainerCredentials:
    return ContainerCredentials(ContainerEndpoint(f"{server.url}/2021-11-01/credentials?x=1", TOKEN), clock)


def get(found: ContainerCredentials, within_s: float = 30.0) -> Credentials:
    return found.get(time.monotonic() + within_s)


def test_credentials_are_fetched_with_the_token_and_kept() -> None:
    clock = Clock()
    with ScriptedServer(handed_out(1, clock.now_s + HOUR_S)) as server:
        found = source(server, clock)
        assert [get(found) for _ in range(5)] == [credentials(1)] * 5
        [request] = server.requests
    assert request.line == "GET /2021-11-01/credentials?x=1 HTTP/1.1"
    assert request.headers["authorization"] == TOKEN
    assert request.headers["host"] == server.url.removeprefix("http://")


def test_a_token_file_is_read_each_time_and_comes_before_the_token(tmp_path: Path) -> None:
    clock = Clock()
    file = tmp_path / "token"
    with ScriptedServer(handed_out(1, clock.now_s + HOUR_S), handed_out(2, clock.now_s + 3 * HOUR_S)) as server:
        found = ContainerCredentials(ContainerEndpoint(server.url, "not this", str(file)), clock)
        for token in ("first", "second"):
            file.write_text(f"{token}\n")
            get(found)
            clock.now_s += HOUR_S
        assert [request.headers["authorization"] for request in server.requests] == ["first", "second"]


def test_credentials_are_renewed_before_they_expire() -> None:
    clock = Clock()
    with ScriptedServer(handed_out(1, clock.now_s + HOUR_S), handed_out(2, clock.now_s + 2 * HOUR_S)) as server:
        found = source(server, clock)
        assert get(found) == credentials(1)
        clock.now_s += HOUR_S - 16 * 60
        assert get(found) == credentials(1)
        clock.now_s += 2 * 60
        assert get(found) == credentials(2)


def test_a_snapshot_that_is_restored_long_after_it_was_taken_asks_for_new_credentials() -> None:
    clock = Clock()
    with ScriptedServer(
        handed_out(1, clock.now_s + HOUR_S), close, handed_out(2, clock.now_s + 31 * 24 * HOUR_S)
    ) as server:
        found = source(server, clock)
        assert get(found) == credentials(1)
        clock.now_s += 30 * 24 * HOUR_S
        assert get(found) == credentials(2)


def test_credentials_that_still_hold_are_used_while_the_endpoint_fails_and_it_is_asked_again_later() -> None:
    clock = Clock()
    failures = [answer({}, 500)] * 3
    with ScriptedServer(
        handed_out(1, clock.now_s + HOUR_S), *failures, handed_out(2, clock.now_s + 2 * HOUR_S)
    ) as server:
        found = source(server, clock)
        get(found)
        clock.now_s += HOUR_S - 14 * 60
        assert [get(found) for _ in range(5)] == [credentials(1)] * 5
        assert len(server.requests) == 4
        clock.now_s += 11
        assert get(found) == credentials(2)


def test_credentials_that_hold_only_shortly_are_not_asked_for_with_each_request() -> None:
    clock = Clock()
    with ScriptedServer(handed_out(1, clock.now_s + 300), handed_out(2, clock.now_s + 600)) as server:
        found = source(server, clock)
        assert [get(found) for _ in range(5)] == [credentials(1)] * 5
        clock.now_s += 11
        assert get(found) == credentials(2)


def test_one_thread_fetches_while_the_others_use_what_they_have() -> None:
    clock = Clock()
    asked, answered = Event(), Event()

    def slowly(act: Act) -> Act:
        def acted(connection: object) -> bool:
            asked.set()
            answered.wait(30)
            return act(connection)  # type: ignore[arg-type]  # a socket

        return acted

    with ScriptedServer(handed_out(1, clock.now_s + HOUR_S), slowly(handed_out(2, clock.now_s + 2 * HOUR_S))) as server:
        found = source(server, clock)
        get(found)
        clock.now_s += HOUR_S - 60
        with ThreadPoolExecutor(1) as pool:
            fetching = pool.submit(get, found)
            assert asked.wait(30)
            assert get(found) == credentials(1)
            answered.set()
            assert fetching.result() == credentials(2)
        assert len(server.requests) == 2


def test_threads_that_have_none_wait_for_the_one_that_fetches() -> None:
    clock = Clock()
    with ScriptedServer(handed_out(1, clock.now_s + HOUR_S)) as server:
        found = source(server, clock)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: get(found), range(8))) == {credentials(1)}
        assert len(server.requests) == 1


def test_what_one_thread_found_out_the_others_need_not() -> None:
    clock = Clock()
    with ScriptedServer(*[answer({}, 403)] * 3, handed_out(1, clock.now_s + HOUR_S)) as server:
        found = source(server, clock)

        def failure(_: int) -> str:
            with pytest.raises(StorageUnavailableError) as caught:
                get(found)
            return caught.value.message

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(failure, range(8))) == {"fetching AWS credentials failed: status 403"}
        assert len(server.requests) == 3
        clock.now_s += 1
        assert get(found) == credentials(1)


UNREADABLE: dict[str, Act] = {
    "no JSON": raw(http(b"secret words")),
    "no object": answer(["secret words"]),
    "no key": answer({"SecretAccessKey": "secret words", "Token": "t", "Expiration": "2030-01-01T00:00:00Z"}),
    "no time": answer({"AccessKeyId": "i", "SecretAccessKey": "secret words", "Token": "t", "Expiration": "secret"}),
    "a number for a time": answer({"AccessKeyId": "i", "SecretAccessKey": "s", "Token": "t", "Expiration": 5}),
    "expired": handed_out(1, Clock.now_s - 1),
}


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_has_no_credentials_is_reported_without_what_it_said(unreadable: Act) -> None:
    with ScriptedServer(unreadable) as server:
        with pytest.raises(StorageUnavailableError, match="fetching AWS credentials failed") as caught:
            get(source(server, Clock()))
        assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_an_endpoint_that_answers_slowly_is_given_up_within_the_call_s_time() -> None:
    whole = http(json.dumps({"AccessKeyId": "x" * 200}).encode())
    with ScriptedServer(drip(whole, 0.05)) as server:
        with pytest.raises(StorageUnavailableError, match="no answer in time"):
            get(source(server, Clock()), within_s=0.3)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (ContainerEndpoint("http://example.com/credentials", "t"), "neither this machine nor reached by https"),
        (ContainerEndpoint("http://169.254.169.254/latest", "t"), "neither this machine nor reached by https"),
        (ContainerEndpoint("credentials", "t"), "can't be asked"),
        (ContainerEndpoint("http://127.0.0.1/a b", "t"), "can't be requested"),
        (ContainerEndpoint("http://127.0.0.1/\r\nx: y", "t"), "can't be"),
        (ContainerEndpoint("http://127.0.0.1/", "t\r\nx: y"), "not a legal header"),
        (ContainerEndpoint("http://127.0.0.1/", "", "/no/such/file"), "can't be asked"),
    ],
)
def test_a_token_goes_only_where_it_is_safe_and_nothing_else_with_it(endpoint: ContainerEndpoint, reason: str) -> None:
    with pytest.raises(StorageUnavailableError, match=reason):
        get(ContainerCredentials(endpoint))


def test_requests_are_signed_with_the_credentials_of_now() -> None:
    now_s = time.time()
    with ScriptedServer(handed_out(1, now_s + HOUR_S)) as container, ScriptedServer() as server:
        client = DynamoDB(ServiceConfig("eu-west-1", ContainerEndpoint(container.url), server.url))
        client.call("GetItem", {})
        [request] = server.requests
    assert "Credential=ASIA1/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "token1"
    assert "x-amz-security-token" in request.headers["authorization"]


def test_credentials_that_the_service_takes_for_expired_are_fetched_anew_once() -> None:
    now_s = time.time()
    expired = refuse("ExpiredTokenException")
    with (
        ScriptedServer(*[handed_out(number, now_s + HOUR_S) for number in (1, 2, 3)]) as container,
        ScriptedServer(expired, answer({"Item": {}}), expired, expired) as server,
    ):
        client = DynamoDB(ServiceConfig("eu-west-1", ContainerEndpoint(container.url), server.url))
        assert client.call("UpdateItem", {}, attempts=1) == {"Item": {}}
        assert [request.headers["x-amz-security-token"] for request in server.requests] == ["token1", "token2"]
        with pytest.raises(ServiceError, match="ExpiredTokenException"):
            client.call("UpdateItem", {}, attempts=3)
        assert len(server.requests) == 4
    with ScriptedServer(expired) as server:
        client = DynamoDB(ServiceConfig("eu-west-1", Credentials("id", "secret"), server.url))
        with pytest.raises(ServiceError, match="ExpiredTokenException"):
            client.call("UpdateItem", {})
        assert len(server.requests) == 1


def test_a_call_without_a_deadline_waits_for_credentials_all_the_same() -> None:
    clock = Clock()
    with ScriptedServer(handed_out(1, clock.now_s + HOUR_S)) as server:
        assert source(server, clock).get(math.inf) == credentials(1)
