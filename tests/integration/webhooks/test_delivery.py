"""Delivery of events, to receivers that take them, fail, and mean harm."""

import json
import socket
import time
from collections.abc import Sequence

import openai
import pytest
from standardwebhooks import Webhook

from sluice.batches.store import BatchStore
from sluice.errors import StorageUnavailableError
from sluice.storage.addresses import Addresses
from sluice.storage.connections import SocketAddress
from sluice.webhooks import delivery
from sluice.webhooks.delivery import PAUSES_S
from sluice.webhooks.store import EndpointStore
from tests.batches import DiedError, die, line
from tests.integration.webhooks.conftest import Webhooks, sent_headers
from tests.scripted_server import ScriptedServer, answer, close, drip, http, keep_silent, raw
from tests.tenants import ADMIN


def test_the_end_of_a_batch_is_told_as_openai_tells_it(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    made = webhooks.create(f"{receiver.url}/hook?a=b")
    batch_id = webhooks.end_a_batch()
    assert webhooks.batches.deliver("WEBHOOKS_QUEUE") == 1
    [request] = receiver.requests
    assert request.line == "POST /hook?a=b HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    client = openai.OpenAI(api_key="none", webhook_secret=made["signing_secret"])
    event = client.webhooks.unwrap(request.body, request.headers)
    assert event.type == "batch.completed"
    assert event.data.id == batch_id
    assert event.created_at == webhooks.batches.get(batch_id)["completed_at"]
    assert event.object == "event"
    Webhook(made["signing_secret"]).verify(request.body, sent_headers(request))
    assert request.headers["webhook-id"] == event.id
    last = webhooks.get(made["id"])["last_delivery"]
    assert (last["event"], last["outcome"], last["status"], last["reason"]) == (event.id, "delivered", 200, None)
    assert time.time() - last["at"] < 60


def test_each_end_of_a_batch_has_its_event(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    webhooks.create(receiver.url)
    webhooks.batches.run_until(webhooks.batches.create([b"nonsense"])["id"])
    batch_id = webhooks.batches.create([line("a")])["id"]
    webhooks.batches.send(f"POST /v1/batches/{batch_id}/cancel")
    assert webhooks.batches.run_until(batch_id)["status"] == "cancelled"
    while webhooks.batches.deliver("WEBHOOKS_QUEUE"):
        pass
    assert sorted(each.json["type"] for each in receiver.requests) == ["batch.cancelled", "batch.failed"]


def test_an_endpoint_is_told_what_it_asked_for_and_its_tenant_s_alone(
    webhooks: Webhooks, receiver: ScriptedServer
) -> None:
    webhooks.create(receiver.url, event_types=["batch.failed"])
    webhooks.batches.tenant("other")
    stranger = webhooks.batches.key("other", role="operator")
    body = {"name": "Another's", "url": receiver.url, "event_types": ["batch.completed"]}
    assert webhooks.keys.send("POST /v1/webhook_endpoints", body, api_key=stranger).status == 200
    webhooks.end_a_batch()
    assert webhooks.batches.deliver("WEBHOOKS_QUEUE") == 0


def test_a_batch_that_is_closed_twice_is_told_of_once(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    webhooks.create(receiver.url)
    batch_id = webhooks.end_a_batch()
    for kind in ("close", "watch", "split"):
        webhooks.batches.tell(kind, batch_id)
    assert webhooks.batches.deliver("WEBHOOKS_QUEUE") == 1
    assert webhooks.batches.deliver("WEBHOOKS_QUEUE") == 0


@pytest.mark.parametrize("dies_at", ["before it is sent", "before it is noted"])
def test_who_dies_while_it_tells_is_followed_by_who_tells_it_under_the_same_id(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    webhooks.create(receiver.url)
    batch_id = webhooks.batches.create([line("a")])["id"]
    webhooks.batches.deliver("BATCH_JOBS_QUEUE")
    webhooks.batches.deliver("BATCH_LINES_QUEUE")
    with monkeypatch.context() as patched:
        if dies_at == "before it is sent":
            patched.setattr(EndpointStore, "all", die)
        else:
            patched.setattr(BatchStore, "note_announced", die)
        with pytest.raises(DiedError):
            webhooks.batches.tell("close", batch_id)
    assert webhooks.batches.get(batch_id)["status"] == "completed"
    webhooks.batches.tell("watch", batch_id)
    while webhooks.batches.deliver("WEBHOOKS_QUEUE"):
        pass
    bodies = {each.body for each in receiver.requests}
    assert len(bodies) == 1
    assert len(receiver.requests) == (1 if dies_at == "before it is sent" else 2)
    assert {each.headers["webhook-id"] for each in receiver.requests} == {json.loads(bodies.pop())["id"]}


def test_who_dies_between_the_answer_and_the_end_of_its_message_delivers_it_again_under_the_same_id(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks.create(receiver.url)
    webhooks.end_a_batch()
    message = webhooks.peek()
    with monkeypatch.context() as patched:
        patched.setattr(EndpointStore, "note", die)
        with pytest.raises(DiedError):
            webhooks.hand(message)
    webhooks.hand(message)
    first, again = receiver.requests
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.body == again.body


def test_what_fails_is_sent_again_later_and_later_for_about_a_day(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.otherwise = lambda _: answer({}, status=500)
    made = webhooks.create(receiver.url)
    webhooks.end_a_batch()
    message = webhooks.peek()
    webhooks.batches.lose("WEBHOOKS_QUEUE")
    deliverer = webhooks.batches.webhooks.webhook_deliverer
    sent: list[tuple[dict[str, object], int]] = []
    monkeypatch.setattr(
        deliverer._queue, "send", lambda message, *, group, delay_s: sent.append((dict(message), delay_s))
    )
    began = now = time.time()
    monkeypatch.setattr(deliverer, "_clock", lambda: now)
    pauses = []
    for number in range(len(PAUSES_S)):
        webhooks.hand(message)
        last = webhooks.get(made["id"])["last_delivery"]
        assert (last["outcome"], last["status"]) == ("retrying", 500)
        assert len(receiver.requests) == number + 1
        following, delay_s = sent.pop()
        pauses.append(int(str(following["due_at"])) - now)
        assert 0 < delay_s <= 900
        # What arrives before it is due, since no message waits so long, is sent on.
        message = json.dumps(following)
        if pauses[-1] > 900:
            webhooks.hand(message)
            assert len(receiver.requests) == number + 1
            assert sent.pop() == (following, 900)
        now = int(str(following["due_at"]))
    assert all(0.8 * want <= pause <= 1.2 * want + 2 for want, pause in zip(PAUSES_S, pauses, strict=True))
    assert 0.8 * 86_400 < now - began < 1.2 * 86_400
    webhooks.hand(message)
    assert sent == []
    assert webhooks.get(made["id"])["last_delivery"]["outcome"] == "gave_up"
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    # Each attempt is signed anew, so that a receiver may refuse what is old.
    assert len({each.headers["webhook-timestamp"] for each in receiver.requests}) == len(receiver.requests)


def test_an_endpoint_that_is_gone_is_sent_nothing_more(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    receiver.otherwise = lambda _: answer({}, status=410)
    made = webhooks.create(receiver.url)
    webhooks.end_a_batch()
    message = webhooks.peek()
    assert webhooks.batches.deliver("WEBHOOKS_QUEUE") == 1
    shown = webhooks.get(made["id"])
    assert shown["disabled_at"]
    assert (shown["last_delivery"]["outcome"], shown["last_delivery"]["status"]) == ("gave_up", 410)
    webhooks.hand(message)
    webhooks.end_a_batch()
    assert webhooks.batches.waiting("WEBHOOKS_QUEUE") == {"delayed": 0, "there": 0, "taken": 0}
    assert len(receiver.requests) == 1


def test_a_deleted_endpoint_and_a_deleted_tenant_s_are_sent_nothing(
    webhooks: Webhooks, receiver: ScriptedServer
) -> None:
    made = webhooks.create(receiver.url)
    webhooks.create(receiver.url)
    webhooks.end_a_batch()
    webhooks.keys.send(f"DELETE /v1/webhook_endpoints/{made['id']}")
    webhooks.batches.app.administration.delete_tenant("acme", ADMIN, lambda: 60)
    assert webhooks.batches.deliver("WEBHOOKS_QUEUE") == 2
    assert receiver.requests == []


def test_a_replaced_secret_signs_for_a_day_if_that_is_wanted(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = webhooks.create(receiver.url)
    rotate = f"POST /v1/webhook_endpoints/{made['id']}/rotate_secret"
    for _ in range(2):  # again, as who has not had the answer does
        rotated = webhooks.keys.send(rotate, {"keep_old_secret_active_for_24_hours": True}).body
    webhooks.end_a_batch()
    message = webhooks.peek()
    webhooks.hand(message)
    for secret in (made["signing_secret"], rotated["signing_secret"]):
        Webhook(secret).verify(receiver.requests[-1].body, sent_headers(receiver.requests[-1]))
    later = time.time() + 86_401
    with monkeypatch.context() as patched:
        patched.setattr(webhooks.batches.webhooks.webhook_deliverer, "_clock", lambda: later)
        webhooks.hand(message)
    assert len(receiver.requests[-1].headers["webhook-signature"].split()) == 1
    third = webhooks.keys.send(rotate, {}).body
    webhooks.hand(message)
    assert len(receiver.requests[-1].headers["webhook-signature"].split()) == 1
    Webhook(third["signing_secret"]).verify(receiver.requests[-1].body, sent_headers(receiver.requests[-1]))


def outcome_of(webhooks: Webhooks, receiver: ScriptedServer) -> tuple[int | None, str | None]:
    """The status, or why there was none, of a delivery that is tried again."""
    made = webhooks.create(receiver.url)
    webhooks.end_a_batch()
    webhooks.hand(webhooks.peek())
    last = webhooks.get(made["id"])["last_delivery"]
    assert last["outcome"] == "retrying"
    return last["status"], last["reason"]


def test_a_redirect_is_a_failure_and_followed_nowhere(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    receiver.otherwise = lambda _: answer({}, 307, {"Location": f"{receiver.url}/elsewhere"})
    assert outcome_of(webhooks, receiver) == (307, None)
    assert [each.line for each in receiver.requests] == ["POST / HTTP/1.1"]


def test_an_endpoint_that_answers_byte_by_byte_is_given_up_in_time(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ATTEMPT_S", 0.3)
    receiver.otherwise = lambda _: drip(http(b"{}"), 0.05)
    assert outcome_of(webhooks, receiver) == (None, "no answer in time")


def test_an_endpoint_that_says_nothing_is_given_up_in_time(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ATTEMPT_S", 0.3)
    receiver.otherwise = lambda _: keep_silent
    assert outcome_of(webhooks, receiver) == (None, "no answer in time")


def test_headers_without_an_end_are_read_to_a_bound(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    receiver.otherwise = lambda _: raw(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 200_000)
    assert outcome_of(webhooks, receiver) == (None, "what came is not an HTTP answer")


def test_announcements_of_an_answer_without_an_end_are_read_until_the_time_is_over(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ATTEMPT_S", 0.3)
    receiver.otherwise = lambda _: drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 40, 0.01)
    assert outcome_of(webhooks, receiver) == (None, "no answer in time")


def test_what_hangs_up_is_asked_again_later(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    receiver.otherwise = lambda _: close
    assert outcome_of(webhooks, receiver) == (None, "the connection was closed")


def test_of_a_body_nothing_is_read(webhooks: Webhooks, receiver: ScriptedServer) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    def without_end(connection: socket.socket) -> bool:
        raw(head + b"ffffffff\r\n" + b"x" * 1_000)(connection)
        return keep_silent(connection)

    receiver.otherwise = lambda _: without_end
    made = webhooks.create(receiver.url)
    webhooks.end_a_batch()
    webhooks.hand(webhooks.peek())
    assert webhooks.get(made["id"])["last_delivery"]["outcome"] == "delivered"
    receiver.wait_for_closed(1)


def test_a_name_that_stands_for_this_machine_by_now_is_not_connected_to(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.rpartition(":")[2])
    answers = ["93.184.215.14", "127.0.0.1", "169.254.169.254"]

    def resolve(host: str, port: int) -> Sequence[SocketAddress]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    addresses = Addresses(resolve=resolve)
    webhooks.keys.app.__dict__["addresses"] = addresses
    monkeypatch.setattr(webhooks.batches.webhooks.webhook_deliverer, "_addresses", addresses)
    made = webhooks.create(f"https://hooks.example.com:{port}/")
    webhooks.end_a_batch()
    for _ in range(2):
        webhooks.hand(webhooks.peek())
        last = webhooks.get(made["id"])["last_delivery"]
        assert (last["status"], last["reason"]) == (None, "its host has an address that is not on the public internet")
    assert answers == []
    assert receiver.connections == 0


@pytest.mark.parametrize("status", [200, 500])
def test_a_delivery_that_cannot_be_noted_is_not_made_again(
    webhooks: Webhooks, receiver: ScriptedServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise StorageUnavailableError("DynamoDB failed at UpdateItem: throttled")

    receiver.otherwise = lambda _: answer({}, status=status)
    webhooks.create(receiver.url)
    webhooks.end_a_batch()
    monkeypatch.setattr(EndpointStore, "note", refused)
    webhooks.batches.deliver("WEBHOOKS_QUEUE")
    assert len(receiver.requests) == 1
    # Of one that was not taken there is one later attempt, and no more.
    assert webhooks.batches.waiting("WEBHOOKS_QUEUE") == {"delayed": int(status != 200), "there": 0, "taken": 0}
