"""A tenant's conversations, as its operators list, read and delete them through the function's own handler."""

from typing import Any

import pytest

from functions.conversations.app import ROUTES
from sluice.conversations.conversation import Owner
from sluice.conversations.store import ConversationStore
from sluice.storage.client import DynamoDB
from sluice.tenants.audit_log import AuditLog, AuditQuery
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.conversations import Clock, turn
from tests.rest_function import RestFunction
from tests.tenants import key_id

PATH = "/v1/tenants/acme/conversations"


class House(RestFunction):
    """The function conversations, with an operator of `acme`, and conversations of two of its keys."""

    def __init__(self, aws: Aws) -> None:
        super().__init__(ROUTES)
        self.aws = aws
        self.caller = self.tenant("acme")
        self.first, self.second = key_id(self.caller), self.key("acme").split("-")[1]
        self.zoo_operator = [self.tenant("zoo"), self.key("zoo", role="operator")][1]
        self.api_key = self.key("acme", role="operator")
        self.clock = Clock()
        self.store = ConversationStore(aws.table("CONVERSATIONS_TABLE"), self.clock)

    def talk(self, conversation: str, key: str, user: str | None = None, tenant: str = "acme") -> None:
        self.clock.now_s += 1
        claim = self.store.claim(Owner(tenant, key, user), conversation, "req", 60)
        assert self.store.complete(claim, turn(conversation), ())

    def listed(self, **query: str) -> list[str]:
        answer = self.send(f"GET {PATH}", query=query)
        assert answer.status == 200, answer.raw
        return [each["id"] for each in answer.body["data"]]

    def acts(self) -> list[tuple[str, str, str]]:
        records = self.app.audit_log.page(AuditQuery(tenant="acme"), page=None, limit=100).records
        return [
            (record.act.action, record.act.target, record.outcome)
            for record in records
            if record.act.action.startswith("conversation.")
        ]


@pytest.fixture
def house(aws: Aws) -> House:
    house = House(aws)
    house.talk("a", house.first)
    house.talk("b", house.first, "ada")
    house.talk("c", house.second, "ada")
    house.talk("d", house.second, "b#o/b")
    house.talk("a", "zookey", "ada", tenant="zoo")
    return house


@ON_BOTH_EMULATORS
def test_all_conversations_of_a_tenant_are_listed_the_latest_begun_first(house: House) -> None:
    house.talk("a", house.first)
    answer = house.send(f"GET {PATH}").body
    shown = [(each["id"], each["key"], each["user"], each["turns"]) for each in answer["data"]]
    assert shown == [
        ("d", house.second, "b#o/b", 1),
        ("c", house.second, "ada", 1),
        ("b", house.first, "ada", 1),
        ("a", house.first, None, 2),
    ]
    assert (answer["has_more"], answer["next_page"]) == (False, None)


def test_they_are_filtered_by_key_and_user(house: House) -> None:
    assert house.listed(key=house.first) == ["b", "a"]
    assert house.listed(user="ada") == ["c", "b"]
    assert house.listed(user="ada", key=house.second) == ["c"]
    assert house.listed(user="b#o/b") == ["d"]
    assert house.listed(user="b") == house.listed(key="nobody") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize(("query", "expected"), [({}, ["d", "c", "b", "a"]), ({"user": "ada"}, ["c", "b"])])
def test_pages_hold_every_conversation_once(
    house: House, limit: int, query: dict[str, str], expected: list[str]
) -> None:
    seen: list[str] = []
    page: dict[str, str] = {}
    for _ in range(10):
        answer = house.send(f"GET {PATH}", query={"limit": str(limit), **query, **page}).body
        seen += [each["id"] for each in answer["data"]]
        if not answer["has_more"]:
            break
        page = {"page": answer["next_page"]}
    assert seen == expected


def test_a_filter_that_finds_little_reads_only_so_much_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.conversations.oversight._PAGE", 1)
    monkeypatch.setattr("sluice.conversations.oversight._MOST_PAGES", 2)
    answer = house.send(f"GET {PATH}", query={"key": house.first}).body
    assert (answer["data"], answer["has_more"]) == ([], True)
    assert house.listed(key=house.first, page=answer["next_page"]) == ["b", "a"]


def test_reading_one_shows_what_its_owner_sees_and_is_recorded(house: House) -> None:
    shown = house.send(f"GET {PATH}/b").body
    own = house.send("GET /v1/conversations/b", query={"user": "ada"}, api_key=house.caller).body
    assert shown == own
    assert shown["data"][0]["messages"][1]["content"] == "b."
    assert house.acts() == [("conversation.read", "b", "done")]


def test_what_can_t_be_recorded_is_neither_shown_nor_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AuditLog, "_now_ms", lambda self: 1)
    monkeypatch.setattr("sluice.tenants.audit._ID_BYTES", 0)
    assert house.send(f"GET {PATH}/b").status == 200
    # The same id once more: that record can't be written.
    assert house.send(f"GET {PATH}/b").status == 503
    assert house.send(f"DELETE {PATH}/b").status == 503
    assert house.listed(key=house.first) == ["b", "a"]


@ON_BOTH_EMULATORS
def test_deleting_one_leaves_nothing_of_it_and_is_recorded(house: House) -> None:
    answer = house.send(f"DELETE {PATH}/b")
    assert answer.body == {"id": "b", "object": "conversation.deleted", "deleted": True}
    assert not [each for each in house.aws.items("CONVERSATIONS_TABLE") if each["conversation"]["S"] == "acme#b"]
    assert house.listed() == ["d", "c", "a"]
    assert house.send(f"DELETE {PATH}/b").status == 404
    assert house.send(f"GET {PATH}/b").status == 404
    assert house.acts() == [("conversation.deleted", "b", "done")]


def test_one_whose_deletion_broke_off_is_not_shown_and_deleted_by_doing_it_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = DynamoDB.call

    def cut(self: DynamoDB, operation: str, request: Any, **options: Any) -> Any:
        if operation == "BatchWriteItem":
            raise OSError("the process died here")
        return call(self, operation, request, **options)

    with monkeypatch.context() as patch:
        patch.setattr(DynamoDB, "call", cut)
        assert house.send(f"DELETE {PATH}/b").status == 500
    assert house.listed() == ["d", "c", "a"]
    assert house.send(f"GET {PATH}/b").status == 404
    assert house.send(f"DELETE {PATH}/b").status == 200
    assert not [each for each in house.aws.items("CONVERSATIONS_TABLE") if each["conversation"]["S"] == "acme#b"]
    assert [outcome for _, _, outcome in house.acts()] == ["done", "failed"]


def test_another_tenant_s_conversations_are_not_there(house: House) -> None:
    before = house.aws.items("CONVERSATIONS_TABLE")
    for route in (f"GET {PATH}", f"GET {PATH}/b", f"DELETE {PATH}/b"):
        assert house.send(route, api_key=house.zoo_operator).status == 404
        assert house.send(route, api_key=house.caller).status == 403
    # An id that only the other tenant has, asked for below one's own.
    own = "/v1/tenants/zoo/conversations"
    assert house.send(f"DELETE {own}/b", api_key=house.zoo_operator).status == 404
    assert house.send(f"GET {own}/a", api_key=house.zoo_operator).body["data"][0]["messages"][1]["content"] == "a."
    assert house.aws.items("CONVERSATIONS_TABLE") == before


def test_an_admin_reaches_every_tenant_also_one_that_was_deleted(house: House) -> None:
    admin = house.aws.admin_key
    assert house.send(f"GET {PATH}/a", api_key=admin).status == 200
    assert house.send("GET /v1/tenants/nobody/conversations", api_key=admin).body["data"] == []


@pytest.mark.parametrize("odd", ["%00", "a%0A", "a%23b", "%2E%2E", "x" * 200, "a b"])
def test_an_odd_id_is_refused_and_never_a_fault(house: House, odd: str) -> None:
    for path in (f"{PATH}/{odd}", f"/v1/tenants/{odd}/conversations", f"/v1/tenants/{odd}/conversations/a"):
        for method in ("GET", "DELETE"):
            for key in (house.api_key, house.aws.admin_key):
                assert house.send(f"{method} {path}", api_key=key).status in {400, 404, 405}


@pytest.mark.parametrize(
    "query", [{"user": "x" * 129}, {"key": "a#b"}, {"page": "nonsense"}, {"limit": "0"}, {"usr": "ada"}]
)
def test_a_wrong_query_is_refused_at_its_field(house: House, query: dict[str, str]) -> None:
    answer = house.send(f"GET {PATH}", query=query)
    assert (answer.status, answer.error["param"]) == (400, next(iter(query)))
