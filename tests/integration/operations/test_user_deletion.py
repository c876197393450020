"""Users' data, deleted by operators: nothing of it is left, sums stay right, and a crash half-way loses nothing."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from functions.conversations.app import ROUTES
from sluice.chat import Usage
from sluice.conversations.conversation import Owner
from sluice.conversations.store import ConversationStore
from sluice.errors import StorageUnavailableError
from sluice.request_log.record import RequestOutcome, RequestRecord
from sluice.request_log.request_id import new_request_id
from sluice.request_log.schema import SHARDS, from_record_item
from sluice.request_log.store import RequestLog
from sluice.storage.client import DynamoDB
from sluice.tasks.results import RatedRequest, Results, TaskRun
from sluice.tenants.audit_log import AuditQuery
from sluice.usage.records import UsageRecord, UsageRecords
from sluice.usage.sums import Use
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.conversations import turn
from tests.rest_function import RestFunction
from tests.tenants import ADMIN

ADA = "ada@example.com"


class House(RestFunction):
    """The function conversations, with an operator of `acme`, two of its keys, and what two users did with them."""

    def __init__(self, aws: Aws, days: int = 40) -> None:
        """Its keys were made so many `days` ago."""
        super().__init__(ROUTES)
        self.now = datetime.now(UTC)
        self.days = days
        self.aws = aws
        self.keys = [self.tenant("acme").split("-")[1], self.key("acme").split("-")[1]]
        self.zoo = self.tenant("zoo").split("-")[1]
        self.api_key = self.key("acme", role="operator")
        self.conversations = ConversationStore(aws.table("CONVERSATIONS_TABLE"))
        self.usage = UsageRecords(aws.table("USAGE_TABLE"))
        self.results = Results(aws.table("USAGE_TABLE"))
        self._age_keys(days)

    def _age_keys(self, days: int) -> None:
        for item in self.aws.items("DIRECTORY_TABLE"):
            if item["entry"]["S"].startswith("key"):
                self.aws.dynamodb.update_item(
                    TableName=self.aws.table("DIRECTORY_TABLE"),
                    Key={name: item[name] for name in ("owner", "entry")},
                    UpdateExpression="SET created_at = :at",
                    ExpressionAttributeValues={":at": {"N": str(int((self.now - timedelta(days=days)).timestamp()))}},
                )

    def talk(self, key: str, user: str | None, conversation: str, tenant: str = "acme") -> None:
        claim = self.conversations.claim(Owner(tenant, key, user), conversation, "req", 60)
        assert self.conversations.complete(claim, turn("x"), ())

    def use(self, key: str, user: str, *, days_ago: int = 0, tenant: str = "acme", requests: int = 1) -> None:
        used = UsageRecord(tenant, key, "p", "m", Usage(3, 4), 5, 6, user=user)
        judged = replace(used, requests=0, guard_calls=2)
        for each in (*[used] * requests, judged):
            self.usage.add(each, self.now - timedelta(days=days_ago))

    def ask(self, key: str, user: str, *, days_ago: float = 0, tenant: str = "acme") -> None:
        began = self.now - timedelta(days=days_ago)
        record = RequestRecord(
            request_id=new_request_id(int(began.timestamp() * 1000)),
            tenant=tenant,
            caller=key,
            user=user,
            model="m",
            route="r",
            outcome=RequestOutcome.ANSWERED,
            status=200,
        )
        RequestLog(self.aws.table("REQUEST_LOG_TABLE"), client=self.aws.client).write(record)

    def records(self, tenant: str) -> list[RequestRecord]:
        """The records of a tenant's requests, by user."""
        found = [from_record_item(item) for item in self.aws.items("REQUEST_LOG_TABLE")]
        return sorted((each for each in found if each.tenant == tenant), key=lambda each: each.user)

    def comment(self, key: str, user: str | None, request_id: str, tenant: str = "acme") -> None:
        run = TaskRun(tenant, key, user, "explanation", "shared", request_id, self.now.timestamp())
        self.results.remember(run)
        self.results.rate(RatedRequest(tenant, key, request_id), 4, f"said by {user}")

    def live(self) -> None:
        """What two users did in two tenants, with and without conversations."""
        for number, key in enumerate(self.keys):
            for user in (ADA, "bob", None):
                self.talk(key, user, f"c{number}-{user and user[:3]}")
            self.use(key, ADA, requests=2)
            self.use(key, ADA, days_ago=self.days - 1)
            self.use(key, "bob")
            self.use(key, "")
            self.comment(key, ADA, f"req_{number}a")
            self.comment(key, "bob", f"req_{number}b")
        self.ask(self.keys[0], ADA)
        self.ask(self.keys[1], ADA, days_ago=3)
        self.ask(self.keys[0], ADA, days_ago=6.9)
        self.ask(self.keys[0], "bob")
        self.ask(self.zoo, ADA, tenant="zoo")
        self.talk(self.zoo, ADA, "c", tenant="zoo")
        self.use(self.zoo, ADA, tenant="zoo")
        self.comment(self.zoo, ADA, "req_z", tenant="zoo")

    def delete(self, user: str = ADA, **query: str) -> Any:
        answer = self.send(f"DELETE /v1/users/{user}", query=query)
        assert answer.status == 200, answer.raw
        return answer.body

    def stored(self, tenant: str) -> str:
        """All that is kept of a tenant's conversations, usage and requests."""
        tables = ("CONVERSATIONS_TABLE", "USAGE_TABLE", "REQUEST_LOG_TABLE")
        kept = [item for table in tables for item in self.aws.items(table)]
        return json.dumps([item for item in kept if f"{tenant}#" in json.dumps(item)])

    def totals(self, tenant: str) -> list[int]:
        """What all sums add up to, the requests first."""
        names = Use.__dataclass_fields__
        sums = [item for item in self.aws.items("USAGE_TABLE") if item["tenant_day"]["S"].startswith(f"{tenant}#")]
        numbers = {name for item in sums for name, value in item.items() if "N" in value}
        assert numbers == {*names, "expires_at"}, "a sum that merging would lose"
        return [sum(int(item[name]["N"]) for item in sums) for name in names]


@pytest.fixture
def house(aws: Aws) -> House:
    house = House(aws)
    house.live()
    return house


@ON_BOTH_EMULATORS
def test_nothing_of_a_user_is_left_and_all_else_is(aws: Aws) -> None:
    house = House(aws, days=400)
    house.live()
    before, zoo = house.totals("acme"), house.stored("zoo")
    assert house.delete() == {
        "object": "user.deleted",
        "user": ADA,
        "tenant": "acme",
        "conversations_deleted": 2,
        "comments_deleted": 2,
        "usage_sums_merged": 4,
        "request_records_unnamed": 3,
        "reports_unnamed": 0,
        "is_finished": True,
        "next_page": None,
    }
    left = house.stored("acme")
    assert ADA not in left
    records = house.records("acme")
    assert [each.user for each in records] == ["", "", "", "bob"]
    assert {each.model for each in records} == {"m"}
    assert [each.user for each in house.records("zoo")] == [ADA]
    for kept in ("bob", "said by bob", "c0-bob", "c1-None"):
        assert kept in left
    assert house.totals("acme") == before
    assert house.stored("zoo") == zoo
    # The nameless of each key, with what was merged into it, an old day's too.
    nameless = {
        (item["tenant_day"]["S"][-10:], item["hour_route"]["S"]): int(item["requests"]["N"])
        for item in house.aws.items("USAGE_TABLE")
        if item["hour_route"]["S"].split("#")[1:2] == [""] and item["tenant_day"]["S"].startswith("acme#")
    }
    assert sorted(nameless.values()) == [1, 1, 3, 3]


def test_deleting_a_user_again_or_one_that_never_was_deletes_nothing(house: House) -> None:
    house.delete()
    before = house.stored("acme")
    for user in (ADA, "nobody", "a%2Fb", "a/b", "%00", "a%0A", "%F0%9F%92%A9", "c%23d", "100%25"):
        deleted = house.delete(user)
        counts = (deleted["conversations_deleted"], deleted["comments_deleted"], deleted["usage_sums_merged"])
        assert (counts, deleted["is_finished"]) == ((0, 0, 0), True)
    assert house.stored("acme") == before


def test_a_user_whose_name_looks_like_something_else_is_found_and_nobody_else(house: House) -> None:
    key = house.keys[0]
    for user in ("a#b", "a", "a%23b", "b#", "a/b"):
        house.use(key, user)
        house.talk(key, user, f"odd-{user.encode().hex()}")
    for user in ("a%23b", "a/b"):
        deleted = house.delete(user)
        assert (deleted["conversations_deleted"], deleted["usage_sums_merged"]) == (1, 1), user
    sums = [item for item in house.aws.items("USAGE_TABLE") if item["tenant_day"]["S"].startswith("acme#")]
    left = [item["hour_route"]["S"].split("#")[1] for item in sums]
    assert {"a", "a%2523b", "b%23"} <= set(left)
    assert "a%23b" not in left


def test_an_act_that_breaks_off_anywhere_is_finished_by_doing_it_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, call = house.totals("acme"), DynamoDB.call
    writes = {"TransactWriteItems", "UpdateItem", "DeleteItem", "BatchWriteItem"}
    broken = 0
    for last in range(200):
        left = last

        def cut(self: DynamoDB, operation: str, request: Any, **options: Any) -> Any:
            nonlocal left
            if operation in writes and "audit" not in json.dumps(request):
                if left == 0:
                    raise StorageUnavailableError("the process died here")
                left -= 1
            return call(self, operation, request, **options)

        with monkeypatch.context() as patch:
            patch.setattr(DynamoDB, "call", cut)
            answer = house.send(f"DELETE /v1/users/{ADA}")
        assert house.totals("acme") == before
        if answer.status == 200:
            break
        broken += 1
        # Each time it gets one write further at least: what was done is not done again.
        if last == 6:
            break
    house.delete()
    assert broken > 3
    assert ADA not in house.stored("acme")
    assert house.totals("acme") == before


def test_a_conversation_whose_deletion_broke_off_is_deleted_whole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = DynamoDB.call

    def cut(self: DynamoDB, operation: str, request: Any, **options: Any) -> Any:
        if operation == "BatchWriteItem":
            raise StorageUnavailableError("the process died here")
        return call(self, operation, request, **options)

    with monkeypatch.context() as patch:
        patch.setattr(DynamoDB, "call", cut)
        assert house.send(f"DELETE /v1/users/{ADA}").status == 503
    outcomes = house.app.audit_log.page(AuditQuery(tenant="acme"), page=None, limit=1).records
    assert outcomes[0].outcome == "failed"
    assert house.delete()["conversations_deleted"] == 2
    turns = [item for item in house.aws.items("CONVERSATIONS_TABLE") if "ada" in item["conversation"]["S"]]
    assert [item["conversation"]["S"] for item in turns] == []


def test_without_time_it_says_where_to_go_on(house: House) -> None:
    def work(*, resume_at: date | None, steps: int) -> Any:
        left = iter([60.0] * steps)
        return house.app.user_deletion.delete(
            "acme", ADA, ADMIN, resume_at=resume_at, remaining_s=lambda: next(left, 0.0)
        )

    nothing = work(resume_at=None, steps=0)
    assert (nothing.is_finished, nothing.resumes_at, nothing.conversations) == (False, house.now.date(), 0)
    tasks = len(house.app.task_library.names())
    # A look at the time for each day, for each of its shards of records, and for each record.
    day = 1 + SHARDS
    begun = work(resume_at=None, steps=2 + tasks + day + 1 + day)
    assert (begun.conversations, begun.comments, begun.request_records, begun.usage_sums) == (2, 2, 1, 2)
    assert begun.resumes_at == house.now.date() - timedelta(days=2)
    some = work(resume_at=begun.resumes_at, steps=tasks + 6 * day + 2 + 1)
    assert (some.request_records, some.usage_sums) == (2, 0)
    assert some.resumes_at == house.now.date() - timedelta(days=8 + 16)
    rest = house.delete(page=some.resumes_at.isoformat())
    assert (rest["usage_sums_merged"], rest["is_finished"]) == (2, True)
    assert ADA not in house.stored("acme")


def test_a_sum_that_is_added_to_meanwhile_is_merged_whole(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    call, additions = DynamoDB.call, [house.keys[0]]

    def between(self: DynamoDB, operation: str, request: Any, **options: Any) -> Any:
        if operation == "TransactWriteItems" and "Delete" in request["TransactItems"][0] and additions:
            house.use(additions.pop(), ADA)
        return call(self, operation, request, **options)

    before = house.totals("acme")
    monkeypatch.setattr(DynamoDB, "call", between)
    house.delete()
    assert ADA not in house.stored("acme")
    assert house.totals("acme")[0] == before[0] + 1


def test_only_operators_delete_and_only_in_their_tenant(house: House) -> None:
    before = house.stored("acme") + house.stored("zoo")
    caller, zoo = house.key("acme"), house.key("zoo", role="operator")
    assert house.send(f"DELETE /v1/users/{ADA}", api_key=caller).status == 403
    for route in (f"DELETE /v1/users/{ADA}", f"DELETE /v1/users/{house.keys[0]}"):
        assert house.send(route, api_key=zoo, query={"tenant": "acme"}).status == 404
    assert house.send(f"DELETE /v1/users/{'x' * 129}").status == 400
    assert house.stored("acme") + house.stored("zoo") == before
    house.send(f"DELETE /v1/users/{ADA}", api_key=zoo)
    assert ADA in house.stored("acme")
    assert ADA not in house.stored("zoo")


def test_an_admin_deletes_in_the_tenant_that_it_names(house: House) -> None:
    admin = house.aws.admin_key
    assert house.send(f"DELETE /v1/users/{ADA}", api_key=admin).body["tenant"] == "admin"
    assert ADA in house.stored("acme")
    answer = house.send(f"DELETE /v1/users/{ADA}", api_key=admin, query={"tenant": "acme"})
    assert answer.body["conversations_deleted"] == 2


def test_the_record_has_counts_and_no_name(house: House) -> None:
    house.delete()
    [record] = house.app.audit_log.page(AuditQuery(tenant="acme"), page=None, limit=1).records
    assert (record.act.action, record.outcome) == ("user.deleted", "done")
    assert {name: change.after for name, change in record.act.changes.items()} == {
        "conversations": 2,
        "comments": 2,
        "usage_sums": 4,
        "request_records": 3,
        "reports": 0,
        "is_finished": True,
    }
    assert ADA not in json.dumps(house.aws.items("DIRECTORY_TABLE"))
