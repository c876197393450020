"""A client and a server that fails in all ways: what is survived, what is reported, and what is never sent twice."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from sluice.errors import StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.connections import Timeouts
from sluice.storage.errors import (
    ConditionFailedError,
    ServiceError,
    TransactionCancelledError,
    TransactionConflictError,
)
from sluice.storage.json_service import longest_pause_s
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials
from tests.scripted_server import (
    Act,
    ScriptedServer,
    answer,
    close,
    drip,
    http,
    in_parts,
    keep_silent,
    raw,
    refuse,
    reset,
)

KEY = {"TableName": "Quota", "Key": {"scope": {"S": "secret words"}}}
ITEM: dict[str, Any] = {"Item": {"scope": {"S": "x"}}}
WHOLE = http(json.dumps(ITEM).encode())
CONFIG = ServiceConfig("eu-central-1", Credentials("AKIAEXAMPLE", "secret words"))
# Long enough for a busy machine, and shorter than what the server takes where it is to be given up on.
TIMEOUTS = Timeouts(connect_s=5.0, silence_s=10.0, answer_s=20.0)
IMPATIENT = Timeouts(connect_s=5.0, silence_s=0.2, answer_s=0.5)


def client_of(server: ScriptedServer, timeouts: Timeouts = TIMEOUTS) -> DynamoDB:
    return DynamoDB(replace(CONFIG, endpoint_url=server.url), timeouts)


FAILURES: dict[str, Act] = {
    "throttled": refuse("ProvisionedThroughputExceededException"),
    "over the account's limit": refuse("RequestLimitExceeded"),
    "internal error": refuse("InternalServerError", 500),
    "500 without a body": raw(http(b"", 500)),
    "503 in HTML": raw(http(b"<html>busy</html>", 503, {"Content-Type": "text/html", "x-amz-crc32": None})),
    "reset": reset,
    "closed": close,
    "closed in the status line": raw(WHOLE[:7], then_close=True),
    "closed in the headers": raw(WHOLE[:60], then_close=True),
    "closed in the body": raw(WHOLE[:-3], then_close=True),
    "wrong checksum": answer(ITEM, headers={"x-amz-crc32": "1234"}),
    "a checksum that is none": answer(ITEM, headers={"x-amz-crc32": "many"}),
    "changed on the way": raw(WHOLE[:-4] + b"y" + WHOLE[-3:]),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then_close=True),
    "not HTTP, and without an end": raw(b"\x00\xff" * 50_000, then_close=True),
    "a status that is none": raw(b"HTTP/1.1 99 What\r\nContent-Length: 0\r\n\r\n"),
    "a header that is none": raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n{}", then_close=True),
    "no length": answer(ITEM, headers={"Content-Length": None}),
    "two lengths": answer(ITEM, headers={"Content-Length": "1", "content-length": str(len(json.dumps(ITEM)))}),
    "a negative length": answer(ITEM, headers={"Content-Length": "-1"}),
    "an endless length": answer(ITEM, headers={"Content-Length": "9" * 5000}),
    "an unknown encoding": answer(ITEM, headers={"Transfer-Encoding": "gzip"}),
    "a chunk without a size": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is longer": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"),
    "a chunk without an end": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n"),
    "not JSON": raw(http(b"{'Item': 1}")),
    "no object": raw(http(b"[1]")),
    "nested without end": raw(http(b"[" * 100_000)),
    "not UTF-8": raw(http(b'{"Item": "\xff"}')),
    "an empty body": raw(http(b"")),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_what_fails_once_or_twice_is_tried_again(failure: Act) -> None:
    with ScriptedServer(failure, failure, answer(ITEM)) as server:
        assert client_of(server).call("GetItem", KEY) == ITEM
        assert [request.json for request in server.requests] == [KEY] * 3


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_what_keeps_failing_is_reported_without_what_was_sent(failure: Act) -> None:
    with ScriptedServer(*[failure] * 3) as server:
        with pytest.raises(ServiceError, match=r"^DynamoDB failed at UpdateItem: ") as caught:
            client_of(server).call("UpdateItem", KEY)
        assert len(server.requests) == 3
    assert caught.value.is_transient
    assert "secret" not in f"{caught.value.message} {caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_what_may_be_done_once_only_is_sent_once(failure: Act) -> None:
    with ScriptedServer(failure, answer(ITEM)) as server:
        with pytest.raises(StorageUnavailableError):
            client_of(server).call("UpdateItem", KEY, attempts=1)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (refuse("ResourceNotFoundException"), "ResourceNotFoundException"),
        (refuse("ValidationException"), "ValidationException"),
        (refuse("AccessDeniedException"), "AccessDeniedException"),
        (answer({"__type": "ValidationException:http://internal.amazon.com/coral/"}, 400), "ValidationException"),
        (answer({}, 400), "400"),
        (raw(http(b"<html>", 404)), "404"),
    ],
)
def test_what_is_refused_for_good_is_not_tried_again(refusal: Act, code: str) -> None:
    with ScriptedServer(refusal) as server:
        with pytest.raises(ServiceError, match=f"DynamoDB failed at GetItem: {code}") as caught:
            client_of(server).call("GetItem", KEY)
        assert (caught.value.aws_code, caught.value.is_transient) == (code, False)
        assert len(server.requests) == 1


def test_a_false_condition_is_an_answer_and_brings_the_item_that_was_asked_for() -> None:
    with ScriptedServer(
        refuse("ConditionalCheckFailedException", **ITEM), refuse("ConditionalCheckFailedException")
    ) as server:
        client = client_of(server)
        with pytest.raises(ConditionFailedError) as caught:
            client.call("UpdateItem", KEY)
        assert caught.value.item == ITEM["Item"]
        with pytest.raises(ConditionFailedError) as caught:
            client.call("UpdateItem", KEY)
        assert caught.value.item is None
        assert len(server.requests) == 2


def _cancelled(*reasons: dict[str, Any]) -> Act:
    return refuse("TransactionCanceledException", CancellationReasons=reasons)


def test_a_cancelled_transaction_says_what_each_of_its_writes_met() -> None:
    reasons = (
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": ITEM["Item"]},
        {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"},
    )
    with ScriptedServer(_cancelled(*reasons)) as server:
        with pytest.raises(TransactionCancelledError) as caught:
            client_of(server).call("TransactWriteItems", {"TransactItems": []})
        assert len(server.requests) == 1
    assert caught.value.codes == ["None", "ConditionalCheckFailed", "TransactionConflict"]
    assert [reason.item for reason in caught.value.reasons] == [None, ITEM["Item"], None]


def test_a_throttled_transaction_is_tried_again_and_a_wrong_one_is_not() -> None:
    throttled = _cancelled({"Code": "None"}, {"Code": "ThrottlingError"})
    with ScriptedServer(throttled, answer({}), _cancelled({"Code": "ValidationError"})) as server:
        client = client_of(server)
        assert client.call("TransactWriteItems", {"TransactItems": []}) == {}
        with pytest.raises(ServiceError, match="TransactWriteItems: ValidationError") as caught:
            client.call("TransactWriteItems", {"TransactItems": []})
        assert not caught.value.is_transient
        assert len(server.requests) == 3


def test_a_transaction_is_known_again_when_it_is_sent_again_and_another_is_not_taken_for_it() -> None:
    with ScriptedServer(reset, refuse("TransactionInProgressException"), answer({}), answer({})) as server:
        client = client_of(server)
        client.call("TransactWriteItems", {"TransactItems": []})
        client.call("TransactWriteItems", {"TransactItems": []})
        first, second, third, other = [request.json["ClientRequestToken"] for request in server.requests]
    assert first == second == third != other
    assert 1 <= len(first) <= 36


def test_a_write_that_meets_a_transaction_is_told_so() -> None:
    with ScriptedServer(refuse("TransactionConflictException")) as server:
        with pytest.raises(TransactionConflictError):
            client_of(server).call("UpdateItem", KEY)
        assert len(server.requests) == 1


def test_a_request_is_what_dynamodb_expects() -> None:
    with ScriptedServer() as server:
        client_of(server).call("GetItem", {"TableName": "Übung \U0001f600"})
        [request] = server.requests
    assert request.line == "POST / HTTP/1.1"
    assert request.headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert request.headers["host"] == server.url.removeprefix("http://")
    assert "/eu-central-1/dynamodb/aws4_request" in request.headers["authorization"]
    assert request.json == {"TableName": "Übung \U0001f600"}


def test_operations_that_nobody_knew_of_pass() -> None:
    found = {"SearchResults": [{"Item": ITEM["Item"], "Score": 0.25}]}
    with ScriptedServer(answer(found)) as server:
        asked = {"TableName": "Vectors", "IndexName": "by-256", "SearchVector": [{"N": "1"}], "TopK": 3}
        assert client_of(server).call("SearchVectors", asked) == found
        assert server.requests[0].headers["x-amz-target"] == "DynamoDB_20120810.SearchVectors"


def test_requests_share_a_connection() -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        for _ in range(20):
            client.call("GetItem", KEY)
        assert (len(server.requests), server.connections) == (20, 1)


def test_an_answer_may_come_in_any_parts_and_in_chunks() -> None:
    chunks = b'5;x=y\r\n{"Ite\r\n4\r\nm":1\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n'
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    split = (len(WHOLE) - len(json.dumps(ITEM)) - 2, len(WHOLE) - 5)
    parts = (WHOLE[:9], WHOLE[9 : split[0]], WHOLE[split[0] : split[1]], WHOLE[split[1] :])
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE
    with ScriptedServer(in_parts(*parts), raw(chunked), in_parts(chunked[:50], chunked[50:]), raw(interim)) as server:
        client = client_of(server)
        assert client.call("GetItem", KEY, attempts=1) == ITEM
        assert client.call("GetItem", KEY, attempts=1) == {"Item": 1}
        assert client.call("GetItem", KEY, attempts=1) == {"Item": 1}
        assert client.call("GetItem", KEY, attempts=1) == ITEM
        assert server.connections == 1


def test_a_large_answer_arrives_whole() -> None:
    items = [{"scope": {"S": "x" * 350_000}} for _ in range(40)]
    with ScriptedServer(answer({"Items": items})) as server:
        assert client_of(server).call("Query", KEY, attempts=1) == {"Items": items}


@pytest.mark.parametrize(
    "last",
    [
        answer(ITEM, headers={"Connection": "close"}),
        raw(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
        raw(WHOLE + b"HTTP/1.1 200 OK\r\n"),
    ],
    ids=["the server says so", "an old version", "more than was asked for"],
)
def test_a_connection_that_is_not_to_be_used_again_is_not(last: Act) -> None:
    with ScriptedServer(last) as server:
        client = client_of(server)
        assert client.call("GetItem", KEY, attempts=1) == ITEM
        assert client.call("GetItem", KEY, attempts=1) == {}
        assert server.connections == 2


def test_a_connection_that_the_server_has_closed_meanwhile_is_noticed_before_anything_is_sent() -> None:
    with ScriptedServer(raw(WHOLE, then_close=True), answer({"Attributes": {}})) as server:
        client = client_of(server)
        client.call("UpdateItem", KEY, attempts=1)
        server.wait_for_closed(1)
        assert client.call("UpdateItem", KEY, attempts=1) == {"Attributes": {}}
        assert server.connections == 2


@pytest.mark.parametrize("closing", [close, reset])
@pytest.mark.parametrize(
    ("operation", "attempts", "is_sent_again"),
    [
        ("UpdateItem", 1, False),
        ("PutItem", 1, False),
        ("UpdateItem", 2, True),
        ("GetItem", 1, True),
        ("BatchGetItem", 1, True),
        ("TransactWriteItems", 1, True),
    ],
)
def test_a_connection_closed_as_a_request_comes_costs_no_attempt_where_it_may_be_sent_again(
    closing: Act, operation: str, attempts: int, is_sent_again: bool
) -> None:
    with ScriptedServer(answer({}), closing, answer(ITEM)) as server:
        client = client_of(server)
        client.call("GetItem", KEY)
        if is_sent_again:
            assert client.call(operation, KEY, attempts=attempts) == ITEM
        else:
            with pytest.raises(ServiceError):
                client.call(operation, KEY, attempts=attempts)
        assert len(server.requests) == 2 + is_sent_again


def test_an_attempt_is_not_given_back_when_an_answer_had_begun_or_a_new_connection_was_closed() -> None:
    with ScriptedServer(answer({}), raw(WHOLE[:20], then_close=True), close) as server:
        client = client_of(server)
        client.call("GetItem", KEY)
        for _ in range(2):
            with pytest.raises(ServiceError, match="the connection was closed"):
                client.call("GetItem", KEY, attempts=1)
        assert len(server.requests) == 3


def test_a_connection_that_falls_silent_costs_its_attempt() -> None:
    with ScriptedServer(answer({}), keep_silent, answer(ITEM)) as server:
        client = client_of(server, IMPATIENT)
        client.call("GetItem", KEY)
        with pytest.raises(ServiceError, match="no answer in time"):
            client.call("GetItem", KEY, attempts=1)
        assert len(server.requests) == 2


def test_what_closed_one_connection_has_closed_those_that_were_idle() -> None:
    arrived = threading.Barrier(3)

    def together(connection: socket.socket) -> bool:
        arrived.wait(30)
        connection.sendall(WHOLE)
        return True

    with ScriptedServer(together, together, together, reset, answer(ITEM)) as server:
        client = client_of(server)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: client.call("GetItem", KEY), range(3)))
        assert server.connections == 3
        assert client.call("GetItem", KEY) == ITEM
        server.wait_for_closed(3)
        assert server.requests[-1].connection == 3


SLOW: dict[str, Act] = {
    "no byte": keep_silent,
    "silence after a part": in_parts(WHOLE[:40], WHOLE[40:], pause_s=30),
    "byte after byte": drip(WHOLE, 0.05),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_an_answer_that_takes_too_long_is_given_up(slow: Act) -> None:
    with ScriptedServer(slow, answer(ITEM)) as server:
        client = client_of(server, IMPATIENT)
        with pytest.raises(ServiceError, match="no answer in time"):
            client.call("GetItem", KEY, attempts=1)
        # Its connection is not used again: the rest of that answer would be taken for the next one.
        assert client.call("GetItem", KEY, attempts=1) == ITEM


@pytest.mark.parametrize("silent", [SLOW["no byte"], SLOW["silence after a part"]])
def test_silence_is_given_up_sooner_than_an_answer_that_comes(silent: Act) -> None:
    # The server hangs up after half a minute, which is another failure.
    with ScriptedServer(silent) as server, pytest.raises(ServiceError, match="no answer in time"):
        client_of(server, Timeouts(connect_s=5.0, silence_s=0.2, answer_s=1000.0)).call("GetItem", KEY, attempts=1)


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_a_deadline_ends_a_call_whatever_its_time_outs_are(slow: Act) -> None:
    with ScriptedServer(slow, answer(ITEM)) as server:
        with pytest.raises(ServiceError, match="no answer in time"):
            client_of(server).call("GetItem", KEY, timeout_s=0.3)
        assert len(server.requests) == 1


def test_nothing_is_tried_again_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.storage.json_service.longest_pause_s", lambda _: 1e6)
    with ScriptedServer(*[refuse("ThrottlingException")] * 3) as server:
        with pytest.raises(ServiceError, match="ThrottlingException"):
            client_of(server).call("GetItem", KEY, timeout_s=10)
        assert len(server.requests) == 1


def test_a_deadline_that_is_over_sends_nothing() -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        client.call("GetItem", KEY)
        with pytest.raises(ServiceError, match="no answer in time"):
            client.call("GetItem", KEY, timeout_s=0)
        assert len(server.requests) == 1


def test_a_request_that_is_not_taken_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Accepted by the kernel, and read by nobody: what does not fit its buffers can't be sent.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = DynamoDB(replace(CONFIG, endpoint_url=url), IMPATIENT)
        with pytest.raises(ServiceError, match="no answer in time"):
            client.call("PutItem", {"Item": {"x": {"S": "x" * 20_000_000}}}, attempts=1)


@pytest.mark.parametrize(
    ("url", "reason"),
    [("closed", "ConnectionRefusedError"), ("http://no-such-host.invalid", "the host's name can't be resolved")],
)
def test_a_host_that_cannot_be_reached_is_reported(url: str, reason: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}" if url == "closed" else url
        with pytest.raises(ServiceError, match=reason):
            DynamoDB(replace(CONFIG, endpoint_url=url)).call("GetItem", KEY, attempts=2)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (replace(CONFIG, endpoint_url="localhost:8000"), "an endpoint is http"),
        (replace(CONFIG, endpoint_url="http://localhost:port"), "can't be reached"),
        (replace(CONFIG, endpoint_url="http://localhost/path"), "an endpoint is http"),
        (replace(CONFIG, region=""), "AWS_REGION is not set"),
        (replace(CONFIG, credentials=None, endpoint_url="http://127.0.0.1:1"), "no AWS credentials"),
    ],
)
def test_a_configuration_that_is_wrong_is_reported_when_it_is_used(config: ServiceConfig, reason: str) -> None:
    client = DynamoDB(config)
    with pytest.raises(StorageUnavailableError, match=reason):
        client.call("GetItem", KEY)


def test_what_can_not_be_written_as_json_is_not_sent() -> None:
    with ScriptedServer() as server:
        for wrong in ({"x": float("nan")}, {"x": b"bytes"}):
            with pytest.raises((TypeError, ValueError)):
                client_of(server).call("PutItem", wrong)
        assert server.requests == []


def test_threads_share_a_client_and_each_gets_its_own_answer() -> None:
    with ScriptedServer() as server:
        server.otherwise = lambda request: answer(request.json)
        client = client_of(server)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: client.call("GetItem", {"number": number}), range(400)))
        assert answers == [{"number": number} for number in range(400)]
        assert server.connections <= 16


def test_a_client_learns_how_far_this_clock_is_off() -> None:
    with ScriptedServer(answer({}), refuse("ValidationException")) as server:
        client = client_of(server)
        assert client.clock.offset_ms() is None
        client.call("GetItem", KEY)
        offset_ms = client.clock.offset_ms()
        assert offset_ms is not None
        assert abs(offset_ms) < 60_000
        bounds = client.clock.bounds_ms()
        assert bounds is not None
        assert bounds.least_ms <= 0 <= bounds.most_ms


def test_an_error_s_date_is_learnt_from_as_well() -> None:
    wrong = refuse("ThrottlingException")
    with ScriptedServer(wrong) as server:
        client = client_of(server)
        with pytest.raises(ServiceError):
            client.call("GetItem", KEY, attempts=1)
        assert client.clock.bounds_ms() is not None


def test_pauses_grow_and_end() -> None:
    assert [longest_pause_s(attempt) for attempt in (1, 2, 3, 20)] == [0.05, 0.1, 0.2, 1.0]
