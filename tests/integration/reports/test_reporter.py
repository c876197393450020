"""The function quota_report, on a bucket, a bus and tables of MiniStack, and the routes that show reports."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from functions.conversations.app import ROUTES as CONVERSATION_ROUTES
from functions.usage.app import ROUTES
from sluice.api.schedule import schedule_handler
from sluice.chat import Usage
from sluice.composition import App
from sluice.errors import StorageUnavailableError
from sluice.quota.limits import BUDGET, budget_limit
from sluice.quota.scopes import tenant_scope
from sluice.reports.reporter import Reporter, ReportsFailedError
from sluice.storage.event_bus import EventBus
from sluice.storage.objects import ObjectStore
from sluice.usage.records import UsageRecord
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.recorded_calls import asked_as
from tests.rest_function import CONTEXT, RestFunction
from tests.tenants import key_id
from tools.processes import ROOT

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

EVENT = json.loads((ROOT / "events" / "quota_report.json").read_text())
DOLLAR = 10**9
# An hour after midnight: of a Tuesday, UTC.
NOW = datetime(2026, 3, 10, 1, 5, tzinfo=UTC)
YESTERDAY = date(2026, 3, 9)


class DiedError(BaseException):
    """Stands for the end of a process."""


class Reports(RestFunction):
    """The function usage, and quota_report, which runs when a test says so."""

    def __init__(self, aws: Aws, events: Any, queue: str) -> None:
        super().__init__(ROUTES, aws.admin_key)
        self.aws, self._events, self._queue = aws, events, queue
        self.now = NOW

    def restart(self) -> None:
        """Also quota_report begins anew."""
        super().restart()
        self.reporting = App.from_environment()

    def used(self, tenant: str, at: datetime, caller: str = "k1", **more: Any) -> None:
        """Record a request."""
        fields = {
            "provider": "gateway",
            "model": "small",
            "credential": "fake-1",
            "usage": Usage(100, 20),
            "cost_nanousd": 1_500_000,
            "response_time_ms": 250,
            **more,
        }
        self.app.usage_records.add(UsageRecord(tenant=tenant, caller=caller, **fields), at)

    def run(self) -> None:
        """Run quota_report as of `now`."""
        with asked_as("QuotaReportFunction"):
            Reporter(self.reporting.report_stores, "sluice", lambda: self.now.timestamp()).run(lambda: True)

    def spend(self, tenant: str, percent: int, of_usd: int = 10) -> None:
        """Have a part of a tenant's budget used."""
        limit = budget_limit(of_usd * DOLLAR)
        reservation = self.app.ledger.reserve(
            tenant_scope(tenant), (limit,), {BUDGET: of_usd * DOLLAR * percent // 100}
        )
        self.app.ledger.settle(reservation, {})

    def alerts(self) -> list[dict[str, Any]]:
        """The events that have reached the bus since this was asked."""
        found = []
        while received := self._events.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in received:
                found.append(json.loads(message["Body"]))
                self._events.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def days(self, tenant: str) -> list[str]:
        """The days that there are reports of."""
        listed = self.send("GET /v1/reports", query={"tenant": tenant})
        assert listed.status == 200, listed.raw
        return [each["day"] for each in listed.body["data"]]


@pytest.fixture
def reports(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}))
    suffix = uuid.uuid4().hex[:12]
    bucket, bus = f"files.bucket-{suffix}", f"event_bus-{suffix}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name=bus)
    queue = sqs.create_queue(QueueName=f"alerts-{suffix}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["sluice"], "detail-type": ["Quota Alert"]})
    events.put_rule(Name=f"alerts-{suffix}", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule=f"alerts-{suffix}", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    monkeypatch.setenv("FILES_BUCKET", bucket)
    monkeypatch.setenv("EVENT_BUS", bus)
    functions = Reports(aws, sqs, queue)
    functions.tenant("acme")
    functions.tenant("zoo")
    yield functions
    sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of objects that are written, in order."""
    found: list[str] = []
    put = ObjectStore.put

    def noting(self: ObjectStore, key: str, *arguments: Any) -> None:
        found.append(key)
        put(self, key, *arguments)

    monkeypatch.setattr(ObjectStore, "put", noting)
    return found


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_the_day_that_has_ended_has_a_report_for_those_whom_it_concerns(reports: Reports) -> None:
    caller, operator = reports.key("acme"), reports.key("acme", role="operator")
    other = reports.key("zoo", role="operator")
    reports.used("acme", NOW - timedelta(hours=10), key_id(caller), user="ada")
    reports.used("acme", NOW - timedelta(minutes=10), key_id(caller))  # of the next day
    reports.used("zoo", NOW - timedelta(hours=20))
    reports.run()
    shown = reports.send(f"GET /v1/reports/{YESTERDAY}", api_key=operator)
    assert shown.status == 200, shown.raw
    assert (shown.body["tenant"], shown.body["day"], shown.body["time_zone"]) == ("acme", "2026-03-09", "UTC")
    assert shown.body["totals"]["requests"] == 1
    assert [row["id"] for row in shown.body["groups"]["users"]] == ["ada"]
    assert {"requests_per_day"} == {each["limit"] for each in shown.body["limits"] if each["of"] == "user"}
    for query, headers in (({"format": "html"}, {}), (None, {"Accept": "text/html,application/xhtml+xml"})):
        page = reports.send(f"GET /v1/reports/{YESTERDAY}", api_key=operator, query=query, headers=headers)
        assert (page.status, page.headers["content-type"]) == (200, ["text/html; charset=utf-8"])
        assert page.raw.startswith("<!doctype html>")
    assert reports.days("acme") == reports.days("zoo") == reports.days("*") == ["2026-03-09"]
    everybody = reports.send(f"GET /v1/reports/{YESTERDAY}")
    assert {row["id"]: row["requests"] for row in everybody.body["groups"]["tenants"]} == {"acme": 1, "zoo": 1}
    assert [each["id"] for each in everybody.body["limits"]] == ["fake-1#small"] * len(everybody.body["limits"])
    assert reports.send("GET /v1/reports", api_key=other).body["data"][0]["requests"] == 1
    assert reports.send("GET /v1/reports", api_key=other, query={"tenant": "acme"}).status == 404
    assert reports.send("GET /v1/reports/2026-03-09", api_key=other, query={"tenant": "*"}).status == 404
    assert reports.send("GET /v1/reports", api_key=caller).status == 403


@pytest.mark.parametrize("day", ["2026-03-08", "2026-13-01", "today", "..%2Fx"])
def test_a_day_without_a_report_is_not_found(reports: Reports, day: str) -> None:
    assert reports.send(f"GET /v1/reports/{day}", query={"tenant": "acme"}).status == 404


def test_reports_are_listed_in_pages(reports: Reports) -> None:
    for number in (1, 2, 3):
        reports.used("acme", NOW - timedelta(days=number))
    reports.run()
    query = {"tenant": "acme", "limit": "2"}
    first = reports.send("GET /v1/reports", query=query).body
    assert [each["day"] for each in first["data"]] == ["2026-03-09", "2026-03-08"]
    rest = reports.send("GET /v1/reports", query={**query, "before": first["before"]}).body
    assert ([each["day"] for each in rest["data"]], rest["before"]) == (["2026-03-07"], None)


def test_a_report_is_made_once_however_often_and_by_how_many(reports: Reports, written: list[str]) -> None:
    reports.used("acme", NOW - timedelta(hours=10))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: reports.run(), range(4)))
    reports.run()
    keys = [f"reports/{whose}/2026-03-09.{kind}" for whose in ("_all", "acme") for kind in ("html", "json")]
    assert sorted(written) == keys


def test_days_without_requests_have_no_report_and_are_not_looked_at_again(
    reports: Reports, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.run()
    assert written == []
    assert reports.days("acme") == []
    monkeypatch.setattr("sluice.reports.reporter.daily_report", failing(AssertionError()))
    reports.run()


def test_days_that_were_missed_are_made_up_for(reports: Reports) -> None:
    for number in (1, 2, 3, 4):
        reports.used("acme", NOW - timedelta(days=number))
    reports.run()
    # Four days late is too late.
    assert reports.days("acme") == ["2026-03-09", "2026-03-08", "2026-03-07"]


def test_who_dies_over_a_report_leaves_it_to_the_next_hour(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    reports.used("acme", NOW - timedelta(hours=10))
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", failing(DiedError()))
        with pytest.raises(DiedError):
            reports.run()
    reports.run()
    assert reports.days("acme") == []  # it may be under way still
    reports.now += timedelta(hours=1)
    reports.run()
    assert reports.days("acme") == ["2026-03-09"]


def test_a_day_ends_by_the_clock_of_its_tenant(reports: Reports) -> None:
    zones = {"samoa": "Pacific/Pago_Pago", "kiribati": "Pacific/Kiritimati", "india": "Asia/Kolkata"}
    for name, zone in zones.items():
        reports.tenant(name, time_zone=zone)
        reports.used(name, NOW - timedelta(hours=30))
        reports.used(name, NOW - timedelta(hours=10))
    reports.run()
    # It is still the 9th in Pago Pago, and in Kiritimati the 10th since fifteen hours.
    assert reports.days("samoa") == ["2026-03-08"]
    assert reports.days("kiribati") == ["2026-03-09"]
    # Both in the day that began there at 18:30 UTC: an hour's sum counts where the hour begins.
    assert reports.days("india") == ["2026-03-09"]
    reports.now += timedelta(hours=9)
    reports.run()
    assert reports.days("kiribati") == ["2026-03-10", "2026-03-09"]
    reports.now += timedelta(hours=1)
    reports.run()
    assert reports.days("samoa") == ["2026-03-09", "2026-03-08"]


def test_a_budget_that_runs_out_is_alerted_of_once_at_each_percentage(reports: Reports) -> None:
    reports.now = datetime.now(UTC)
    reports.tenant("rich", budget_usd_per_month=10)
    reports.spend("rich", 79)
    reports.run()
    assert reports.alerts() == []
    told = []
    for percent in (4, 9, 8):
        reports.spend("rich", percent)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: reports.run(), range(4)))
        [event] = reports.alerts()
        told.append(event["detail"])
        assert (event["source"], event["detail-type"]) == ("sluice", "Quota Alert")
    assert [(each["percentage"], each["used_percent"], each["is_blocked"]) for each in told] == [
        (80, 83.0, False),
        (90, 92.0, False),
        (100, 100.0, True),
    ]
    assert {(each["of"], each["subject"], each["limit"]) for each in told} == {
        ("tenant", "rich", "budget_usd_per_month")
    }


def test_an_alert_that_did_not_get_through_is_sent_again_as_the_same(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.now = datetime.now(UTC)
    reports.tenant("rich", budget_usd_per_month=10)
    reports.used("rich", reports.now - timedelta(days=1))
    reports.spend("rich", 85)
    send, sent = EventBus.send, list[dict[str, Any]]()

    def sending_in_vain(self: EventBus, *event: Any) -> None:
        send(self, *event)
        raise StorageUnavailableError("EventBridge failed at PutEvents: time-out")

    with monkeypatch.context() as patch:
        patch.setattr(EventBus, "send", sending_in_vain)
        with pytest.raises(ReportsFailedError, match="1 of"):
            reports.run()
    sent += [event["detail"] for event in reports.alerts()]
    # What else is due is done all the same.
    assert len(reports.days("*")) == 1
    reports.now += timedelta(hours=1)
    reports.run()
    sent += [event["detail"] for event in reports.alerts()]
    assert len(sent) == 2
    assert sent[0]["id"] == sent[1]["id"]
    reports.run()
    assert reports.alerts() == []


def test_what_there_is_no_time_for_is_left_to_the_next_hour(reports: Reports) -> None:
    for tenant in ("acme", "zoo"):
        reports.used(tenant, NOW - timedelta(hours=10))
    left = iter([True, True, True, False])
    Reporter(reports.reporting.report_stores, "sluice", lambda: NOW.timestamp()).run(lambda: next(left))
    assert (reports.days("acme"), reports.days("zoo"), reports.days("*")) == (["2026-03-09"], [], [])
    reports.run()
    assert (reports.days("zoo"), reports.days("*")) == (["2026-03-09"], ["2026-03-09"])


def test_the_function_takes_the_event_of_its_schedule(reports: Reports) -> None:
    reports.used("acme", datetime.now(UTC) - timedelta(days=1))
    with asked_as("QuotaReportFunction"):
        schedule_handler(reports.reporting)(EVENT, cast("LambdaContext", CONTEXT))
    # A function that has half a minute begins nothing.
    assert reports.days("acme") == []


def test_a_bus_that_takes_an_event_and_loses_it_is_an_error(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = reports.reporting.report_stores.bus
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    monkeypatch.setattr(bus._client, "call", lambda *_, **__: refused)
    with pytest.raises(StorageUnavailableError, match="InternalFailure"):
        bus.send("sluice", "Quota Alert", {})


def test_a_deleted_user_is_in_no_report_and_its_requests_still_are(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (0, 1):
        for tenant in ("acme", "zoo"):
            reports.used(tenant, NOW - timedelta(days=days, hours=10), user="ada-lovelace")
            reports.used(tenant, NOW - timedelta(days=days, hours=11), user="bob")
    reports.run()
    operator = reports.key("acme", role="operator")
    conversations = RestFunction(CONVERSATION_ROUTES, operator)
    put = ObjectStore.put

    def dying_after_the_page(self: ObjectStore, key: str, *arguments: Any) -> None:
        if key.endswith(".json"):
            raise DiedError
        put(self, key, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "put", dying_after_the_page)
        with pytest.raises(DiedError):
            conversations.send("DELETE /v1/users/ada-lovelace")
    assert conversations.send("DELETE /v1/users/ada-lovelace").body["reports_unnamed"] == 2
    assert conversations.send("DELETE /v1/users/ada-lovelace").body["reports_unnamed"] == 0
    for day in ("2026-03-09", "2026-03-08"):
        shown = reports.send(f"GET /v1/reports/{day}", api_key=operator)
        page = reports.send(f"GET /v1/reports/{day}", query={"format": "html"}, api_key=operator)
        assert "ada-lovelace" not in shown.raw + page.raw
        assert "bob" in page.raw
        assert [(row["id"], row["requests"]) for row in shown.body["groups"]["users"]] == [("", 1), ("bob", 1)]
        assert "ada-lovelace" in reports.send(f"GET /v1/reports/{day}", query={"tenant": "zoo"}).raw


def test_what_is_wrong_with_one_tenant_s_report_keeps_no_other_from_alerts_and_reports(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.tenant("zest", budget_usd_per_month=10)
    reports.spend("zest", 95)
    for tenant in ("acme", "zest"):
        reports.used(tenant, NOW - timedelta(hours=10))
    put = ObjectStore.put

    def failing_for_one(self: ObjectStore, key: str, *arguments: Any) -> None:
        if "/acme/" in key:
            raise ValueError("what was asked and answered")
        put(self, key, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "put", failing_for_one)
        with pytest.raises(ReportsFailedError, match="1 of"):
            reports.run()
    assert (reports.days("acme"), reports.days("zest")) == ([], ["2026-03-09"])
    assert [each["detail"]["percentage"] for each in reports.alerts()] == [90]
