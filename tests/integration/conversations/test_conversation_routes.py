"""/v1/conversations, through the function's own handler, of conversations that the chat API has had."""

import json
import threading
import time
from typing import Any

import httpx
import pytest

from sluice.api.conversations import ROUTES as FUNCTION_ROUTES
from sluice.conversations.conversation import Owner
from sluice.conversations.store import ConversationStore
from tests.chat_server import ChatServer
from tests.conversations import items, said
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction
from tests.tenants import key_id

ROUTES = ["GET /v1/conversations", "GET /v1/conversations/c-1", "DELETE /v1/conversations/c-1"]
MOST_BYTES = 6 * 1024 * 1024


@pytest.fixture
def conversations(chat: ChatServer) -> RestFunction:
    """The function, with the API key that `chat` asks with."""
    return RestFunction(FUNCTION_ROUTES, chat.api_key)


@pytest.fixture
def store(chat: ChatServer) -> ConversationStore:
    """For conversations that need no model."""
    return ConversationStore(chat.aws.table("CONVERSATIONS_TABLE"))


def owner(chat: ChatServer, user: str | None = None) -> Owner:
    return Owner("acme", key_id(chat.api_key), user)


def ask(chat: ChatServer, text: str, conversation: str = "c-1", **metadata: str) -> httpx.Response:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    metadata = {"conversation_id": conversation, **metadata}
    answer = chat.post({"model": "small", "messages": messages, "metadata": metadata})
    assert answer.status_code == 200, answer.text
    return answer


def listed(conversations: RestFunction, **query: str) -> Any:
    answer = conversations.send("GET /v1/conversations", query=query)
    assert answer.status == 200, answer.body
    return answer.body


def read(conversations: RestFunction, conversation: str = "c-1", **query: str) -> Any:
    answer = conversations.send(f"GET /v1/conversations/{conversation}", query=query)
    assert answer.status == 200, answer.body
    return answer.body


def error(conversations: RestFunction, route: str, **options: Any) -> tuple[int, str | None, str | None]:
    answer = conversations.send(route, **options)
    return answer.status, answer.body["error"]["param"], answer.body["error"]["code"]


def test_a_conversation_is_listed_read_and_deleted(
    chat: ChatServer, fake: FakeProvider, conversations: RestFunction
) -> None:
    fake.configure(answers=["One.", "Two."])
    began_at = int(time.time())
    request_ids = [ask(chat, text, "thread:7").headers["x-sluice-request-id"] for text in ("1?", "2?")]
    page = listed(conversations)
    assert page.keys() == {"object", "data", "has_more", "next_page"}
    assert (page["object"], page["has_more"], page["next_page"]) == ("list", False, None)
    [summary] = page["data"]
    assert (summary["id"], summary["object"], summary["turns"]) == ("thread:7", "conversation", 2)
    assert began_at <= summary["created_at"] < summary["expires_at"]
    shown = read(conversations, "thread%3A7")
    assert shown.items() >= summary.items()
    assert shown["system"] == [{"role": "system", "content": "Be brief."}]
    assert shown["has_more"] is False
    assert [(turn["object"], turn["sequence"], turn["request_id"]) for turn in shown["data"]] == [
        ("conversation.turn", 1, request_ids[0]),
        ("conversation.turn", 2, request_ids[1]),
    ]
    assert [turn["messages"] for turn in shown["data"]] == [
        [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "One."}],
        [{"role": "user", "content": "2?"}, {"role": "assistant", "content": "Two."}],
    ]
    assert all(began_at <= turn["created_at"] <= time.time() for turn in shown["data"])
    deleted = conversations.send("DELETE /v1/conversations/thread:7")
    assert (deleted.status, deleted.body) == (
        200,
        {"id": "thread:7", "object": "conversation.deleted", "deleted": True},
    )
    assert items(chat.aws) == []
    assert listed(conversations)["data"] == []
    for route in ("GET", "DELETE"):
        gone = error(conversations, f"{route} /v1/conversations/thread:7")
        assert gone == (404, "conversation_id", "conversation_not_found")


def test_another_key_s_conversation_is_as_unknown_as_one_that_never_was(
    chat: ChatServer, conversations: RestFunction
) -> None:
    ask(chat, "1?")
    others = [chat.key("acme"), chat.key("acme", role="operator"), chat.tenant("globex"), chat.aws.admin_key]
    for key in others:
        assert conversations.send("GET /v1/conversations", api_key=key).body["data"] == []
        for route in ROUTES[1:]:
            refused = conversations.send(route, api_key=key)
            unknown = conversations.send(route.replace("c-1", "c-2"), api_key=key)
            assert refused.status == unknown.status == 404
            assert str(refused.body) == str(unknown.body).replace("c-2", "c-1")
    assert len(read(conversations)["data"]) == 1


def test_each_user_of_a_key_has_its_own(chat: ChatServer, conversations: RestFunction) -> None:
    ask(chat, "1?", "c-1")
    ask(chat, "2?", "c-ann", user="ann")
    ask(chat, "3?", "c-nobody", user="")
    ask(chat, "4?", "c-odd", user="#/ä 1&x=")
    expected = {None: "c-1", "ann": "c-ann", "": "c-nobody", "#/ä 1&x=": "c-odd", "bob": None}
    for user, conversation in expected.items():
        query = {} if user is None else {"user": user}
        assert [each["id"] for each in listed(conversations, **query)["data"]] == [conversation] * bool(conversation)
        for other in filter(None, expected.values()):
            status = conversations.send(f"GET /v1/conversations/{other}", query=query).status
            assert status == (200 if other == conversation else 404)
    assert error(conversations, "DELETE /v1/conversations/c-ann")[0] == 404
    assert conversations.send("DELETE /v1/conversations/c-ann", query={"user": "ann"}).status == 200
    assert listed(conversations, user="ann")["data"] == []


def test_a_list_comes_in_pages_the_latest_first(chat: ChatServer, conversations: RestFunction) -> None:
    now_s = time.time()
    later = ConversationStore(chat.aws.table("CONVERSATIONS_TABLE"), lambda: now_s)
    for number in range(6):
        claim = later.claim(owner(chat), f"c-{number}", f"req-{number}", hold_s=60)
        assert later.complete(claim, [said("user", "?"), said("assistant", ".")], ())
        now_s += 10
    seen, pages, query = [], [], {"limit": "3"}
    for _ in range(9):
        page = listed(conversations, **query)
        seen += [each["id"] for each in page["data"]]
        pages.append(len(page["data"]))
        if not page["has_more"]:
            break
        query["page"] = page["next_page"]
    assert seen == [f"c-{number}" for number in reversed(range(6))]
    # A full last page is known to be the last.
    assert pages == [3, 3]
    assert page["next_page"] is None


def test_a_page_from_long_ago_is_empty(chat: ChatServer, conversations: RestFunction) -> None:
    ask(chat, "1?")
    assert listed(conversations, page=f"{int(time.time())}:c-1") == {
        "object": "list",
        "data": [],
        "has_more": False,
        "next_page": None,
    }


def test_turns_come_in_pages_from_the_end(
    chat: ChatServer, store: ConversationStore, conversations: RestFunction
) -> None:
    for number in range(1, 8):
        claim = store.claim(owner(chat), "c-1", f"req-{number}", hold_s=60)
        assert store.complete(claim, [said("user", f"{number}?"), said("assistant", f"{number}.")], ())
    seen: list[str] = []
    query = {"limit": "3"}
    for _ in range(9):
        page = read(conversations, **query)
        seen[:0] = [message["content"] for turn in page["data"] for message in turn["messages"]]
        assert page["turns"] == 7
        if not page["has_more"]:
            break
        assert len(page["data"]) == 3
        query["before"] = str(page["data"][0]["sequence"])
    assert seen == [f"{number}{mark}" for number in range(1, 8) for mark in "?."]
    assert read(conversations, before="1")["data"] == []
    assert len(read(conversations, before="9" * 50)["data"]) == 7


def size(answer: Any) -> int:
    """Bytes of a function's answer to Lambda: the body is JSON in it."""
    return len(json.dumps({"body": json.dumps(answer, ensure_ascii=False)}, ensure_ascii=False).encode())


def test_a_page_of_large_turns_is_as_long_as_a_function_may_answer(
    chat: ChatServer, store: ConversationStore, conversations: RestFunction
) -> None:
    # It compresses well, and each of its characters becomes four bytes as JSON in JSON.
    large = '"' * 350_000
    for number in range(1, 11):
        claim = store.claim(owner(chat), "c-1", f"req-{number}", hold_s=60)
        assert store.complete(claim, [said("user", large), said("assistant", f"{number}.")], ())
    pages: list[list[int]] = []
    query: dict[str, str] = {}
    for _ in range(9):
        page = read(conversations, **query)
        assert size(page) < MOST_BYTES
        assert all(turn["messages"][0]["content"] == large for turn in page["data"])
        pages.append([turn["sequence"] for turn in page["data"]])
        if not page["has_more"]:
            break
        query = {"before": str(pages[-1][0])}
    assert pages == [[7, 8, 9, 10], [3, 4, 5, 6], [1, 2]]


def test_what_is_too_large_for_any_answer_is_left_out(
    chat: ChatServer, store: ConversationStore, conversations: RestFunction
) -> None:
    huge, large = '"' * 2_000_000, '"' * 900_000
    for number, (question, system) in enumerate([("1?", "Be brief."), (huge, "Be brief."), (large, huge)]):
        claim = store.claim(owner(chat), "c-1", f"req-{number}", hold_s=60)
        assert store.complete(claim, [said("user", question), said("assistant", ".")], [said("system", system)])
    last = read(conversations)
    assert (last["system"], last["has_more"]) == (None, True)
    assert [turn["messages"][0]["content"] for turn in last["data"]] == [large]
    before = read(conversations, before="3")
    assert [(turn["sequence"], turn["messages"]) for turn in before["data"]] == [(2, None)]
    assert before["has_more"]
    first = read(conversations, before="2")
    assert [turn["messages"][0]["content"] for turn in first["data"]] == ["1?"]
    assert max(map(size, (last, before, first))) < MOST_BYTES


@pytest.mark.parametrize("is_first", [True, False], ids=["its first", "a later one"])
def test_a_turn_under_way_is_answered_and_not_remembered_when_its_conversation_is_deleted(
    chat: ChatServer, fake: FakeProvider, conversations: RestFunction, is_first: bool
) -> None:
    if not is_first:
        ask(chat, "1?")
    asked_before = len(fake.requests())
    fake.configure(latency_s=1.0)
    answers: list[httpx.Response] = []
    turn = threading.Thread(target=lambda: answers.append(ask(chat, "2?")))
    turn.start()
    due_s = time.monotonic() + 10
    while len(fake.requests()) == asked_before:
        assert time.monotonic() < due_s
        time.sleep(0.01)
    if is_first:
        assert error(conversations, "GET /v1/conversations/c-1")[0] == 404
    else:
        assert [each["sequence"] for each in read(conversations)["data"]] == [1]
    assert conversations.send("DELETE /v1/conversations/c-1").status == 200
    assert turn.is_alive()
    turn.join()
    assert answers[0].json()["choices"][0]["message"]["content"] == "Hello there."
    assert items(chat.aws) == []
    assert listed(conversations)["data"] == []
    # The id is free, and what was said before is not heard.
    ask(chat, "3?")
    assert [message["content"] for message in fake.last_body()["messages"]] == ["Be brief.", "3?"]
    assert [each["sequence"] for each in read(conversations)["data"]] == [1]


@pytest.mark.parametrize("conversation", ["-c", "%20", "a%20b", "a" * 129, "%C3%A4", "c@d"])
def test_an_id_that_can_t_be_is_refused(conversations: RestFunction, conversation: str) -> None:
    for method in ("GET", "DELETE"):
        status, param, _ = error(conversations, f"{method} /v1/conversations/{conversation}")
        assert (status, param) == (400, "conversation_id")


@pytest.mark.parametrize(
    ("route", "query", "field"),
    [
        ("GET /v1/conversations", {"limit": "0"}, "limit"),
        ("GET /v1/conversations", {"limit": "101"}, "limit"),
        ("GET /v1/conversations", {"limit": "many"}, "limit"),
        ("GET /v1/conversations", {"page": "c-1"}, "page"),
        ("GET /v1/conversations", {"page": ""}, "page"),
        ("GET /v1/conversations", {"user": "x" * 129}, "user"),
        ("GET /v1/conversations", {"usr": "ann"}, "usr"),
        ("GET /v1/conversations/c-1", {"limit": "51"}, "limit"),
        ("GET /v1/conversations/c-1", {"before": "0"}, "before"),
        ("GET /v1/conversations/c-1", {"before": "-1"}, "before"),
        ("GET /v1/conversations/c-1", {"before": "9" * 5000}, "before"),
        ("GET /v1/conversations/c-1", {"page": "1"}, "page"),
        ("DELETE /v1/conversations/c-1", {"usr": "ann"}, "usr"),
        ("DELETE /v1/conversations/c-1", {"limit": "1"}, "limit"),
    ],
)
def test_a_bad_query_is_refused_by_its_field(
    chat: ChatServer, conversations: RestFunction, route: str, query: dict[str, str], field: str
) -> None:
    ask(chat, "1?")
    status, param, _ = error(conversations, route, query=query)
    assert (status, param) == (400, field)
    assert len(read(conversations)["data"]) == 1


@pytest.mark.parametrize("route", ROUTES)
def test_a_key_is_needed(conversations: RestFunction, route: str) -> None:
    for key in ("", "nonsense"):
        assert error(conversations, route, api_key=key) == (401, None, "invalid_api_key")
    # What OpenAI's API has there, and Sluice has not.
    assert error(conversations, route.replace("GET", "POST").replace("DELETE", "POST"))[0] == 404


@pytest.mark.parametrize("route", ROUTES)
def test_without_dynamodb_callers_are_told_so(
    conversations: RestFunction, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERSATIONS_TABLE", "no-such-table")
    conversations.restart()
    assert error(conversations, route) == (503, None, "storage_unavailable")
