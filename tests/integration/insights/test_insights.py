"""Insights through their routes, and found unasked: on tables and a queue of MiniStack."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest

from functions.ai_configuration.app import ROUTES as CHOICES
from functions.tasks.app import ROUTES as TASKS
from sluice.api.schedule import schedule_handler
from sluice.chat import Usage
from sluice.ingestion.source import SourceOptions, SourceType
from sluice.ingestion.source_store import NewSource
from sluice.insights.figures import last_settled_day
from sluice.insights.proactive import InsightsFailedError, ProactiveInsights
from sluice.storage.errors import ServiceError
from sluice.storage.event_bus import EventBus
from sluice.tenants.audit import Action, Actor, Change
from sluice.tenants.audit_log import AuditQuery
from sluice.tenants.preference_types import PreferenceType
from sluice.tenants.principal import Principal
from sluice.usage.records import UsageRecord
from sluice.webhooks.endpoint import EventType
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.recorded_calls import asked_as
from tests.rest_function import CONTEXT, RestAnswer, RestFunction
from tests.tenants import ADMIN, key_id

DASHBOARD = {
    "deployment_frequency": {"current": 3, "historical_avg": 5},
    "lead_time_trend": [20, 22, 28, 31],
}
INSIGHTS = "/api/v1/ai/dashboard/insights"
DAYS = 44


class DiedError(BaseException):
    """Stands for the end of a process."""


class Insights(RestFunction):
    """The functions that answer the routes, a history of usage, and the one that looks unasked."""

    def __init__(self) -> None:
        super().__init__((*TASKS, *CHOICES))
        self.sent: list[dict[str, Any]] = []
        self.failure: BaseException | None = None
        # Some time after midnight, whenever the test runs: the routes go by the clock, and wait until a day is settled.
        settled = last_settled_day(datetime.now(UTC), ZoneInfo("UTC"))
        self.now = datetime.combine(settled + timedelta(days=1), time(1, 5), UTC)

    def use(self, tenant: str, *, last: int) -> None:
        """Have one or two requests recorded on each of some days, and so many on the last of them."""

        def record(day: int) -> None:
            at = self.now - timedelta(days=day)
            self.app.usage_records.add(
                UsageRecord(
                    tenant=tenant,
                    caller="k1",
                    provider="gateway",
                    model="small",
                    credential="fake-1",
                    usage=Usage(100, 20),
                    cost_nanousd=1_000,
                    response_time_ms=250,
                ),
                at,
            )

        days = [day for day in range(DAYS, 0, -1) for _ in range(last if day == 1 else 1 + day % 2)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(record, days))

    def prefer(self, tenant: str, kind: PreferenceType, **values: Any) -> None:
        """Have a tenant prefer something."""
        self.app.preferences.change(tenant, kind, lambda _: values, ADMIN)

    def look(self) -> None:
        """What happens every hour."""
        with asked_as("QuotaReportFunction"):
            ProactiveInsights(self.app.proactive_stores, "sluice", self.now.timestamp).run(lambda: True)

    def find(self, body: object = None, *, api_key: str | None = None, **query: str) -> RestAnswer:
        """Ask for insights, without a narrative unless the body says so."""
        asked = {"narrative": False, **(DASHBOARD if body is None else body)}  # type: ignore[dict-item]
        return self.send(f"POST {INSIGHTS}", asked, api_key=api_key, query=query or None)

    def listed(self, **query: str) -> list[dict[str, Any]]:
        """What was found."""
        answer = self.send(f"GET {INSIGHTS}", query=query or None)
        assert answer.status == 200, answer.raw
        found: list[dict[str, Any]] = answer.body["data"]
        return found

    def alert(self) -> dict[str, Any]:
        """The one alert of requests that was found."""
        [found] = [
            each for each in self.listed() if (each["insight_type"], each["series"]) == ("alert", "usage.requests")
        ]
        return found


@pytest.fixture
def insights(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Insights]:
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}))
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=f"webhooks-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    monkeypatch.setenv("WEBHOOKS_QUEUE", queue)
    functions = Insights()

    def send(_: EventBus, source: str, kind: str, detail: dict[str, Any], *, attempts: int) -> None:
        assert (source, kind, attempts) == ("sluice", "Insight", 1)
        if functions.failure is not None:
            raise functions.failure
        functions.sent.append(detail)

    monkeypatch.setattr(EventBus, "send", send)
    functions.tenant("acme")
    functions.tenant("zoo")
    functions.api_key = functions.key("acme", role="manager")
    yield functions
    sqs.delete_queue(QueueUrl=queue)


def test_a_dashboard_s_own_figures_are_judged_for_any_key(insights: Insights) -> None:
    answer = insights.find(api_key=insights.key("acme"))
    assert answer.status == 200, answer.raw
    found = answer.body
    assert [(each["insight_type"], each["method"]) for each in found["insights"]] == [
        ("anomaly", "ratio"),
        ("trend", "ratio"),
    ]
    first = found["insights"][0]
    assert first["title"] == "Deployment Frequency Drop Detected"
    assert first["data_points"][0] == {
        "metric": "current_frequency",
        "time": None,
        "value": 3.0,
        "expected": 5.0,
        "low": 3.5,
        "high": None,
    }
    assert 0 < first["confidence"] < 1
    assert "in a simulation" in first["confidence_says"]
    assert found["narrative"] == {"status": "off", "text": None, "reason": None}
    assert found["agent_config"]["confidenceThreshold"] == 0.8
    assert found["generated_at"].endswith("Z")
    # Its values are the dashboard's: only that something was found is kept.
    assert insights.listed() == []


def test_what_is_wrong_is_said_in_words(insights: Insights) -> None:
    assert insights.find({}).error["param"] == "figures"
    assert insights.find({"figures": ["usage.joy"]}).status == 400
    assert insights.find({"usage.cost": [1, 2, 3, 4]}).status == 400
    assert insights.find({"time_zone": "Mars/Base", **DASHBOARD}).error["param"] == "time_zone"
    many = insights.find({"orders": [1] * 1_000_000})
    assert many.status == 400
    assert "1,000,000 points; at most 5,000" in many.error["message"]
    refused = insights.find({"figures": ["usage.requests"]}, api_key=insights.key("acme"))
    assert (refused.status, refused.error["param"]) == (403, "figures")
    assert insights.find(tenant="zoo").status == 404


def test_a_spike_is_found_asked_and_unasked_under_one_id_and_told_of_once(insights: Insights) -> None:
    insights.use("acme", last=30)
    endpoint, _ = insights.app.webhook_endpoints.create(
        "https://hooks.example.com/x", "test", (EventType.INSIGHT_FOUND,), _manager(insights)
    )
    source = insights.app.ingest_sources.create(
        NewSource(type=SourceType.JIRA, name="x", vector_store_id="vs_1", secret="s" * 32, options=SourceOptions()),
        _manager(insights),
    )
    insights.app.ingest_journal.count(source, ["received"], is_event=True)
    asked = insights.find({"figures": ["usage.requests", "ingestion.items"]})
    assert asked.status == 200, asked.raw
    # What came in today is of a day that is not over.
    [skipped] = asked.body["skipped"]
    assert skipped["series"] == "ingestion.items"
    assert skipped["reason"].startswith("0 days of it are known")
    assert len(asked.body["forecasts"][0]["points"]) == 7
    [shown] = [each for each in asked.body["insights"] if each["insight_type"] == "alert"]
    last = shown["data_points"][-1]
    assert last["value"] == 30 > last["high"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: insights.look(), range(2)))
    insights.look()
    [told] = [each for each in insights.sent if each["series"] == "usage.requests"]
    kept = insights.alert()
    assert told["id"] == kept["id"] == shown["id"]
    assert (told["observed"], told["tenant"], told["confidence"]) == (30, "acme", shown["confidence"])
    assert kept["notice"] == "sent"
    sqs = boto3.client("sqs")
    received = sqs.receive_message(QueueUrl=insights.app.settings.webhooks_queue, MaxNumberOfMessages=10)["Messages"]
    messages = [json.loads(each["Body"]) for each in received]
    assert (endpoint.id, "insight.found", told["id"]) in [
        (each["endpoint"], each["event_type"], each["subject"]) for each in messages
    ]


def test_who_dies_between_the_write_and_the_event_leaves_it_told_of_by_nobody_and_that_is_seen(
    insights: Insights,
) -> None:
    insights.use("acme", last=30)
    insights.failure = DiedError()
    with pytest.raises(DiedError):
        insights.look()
    insights.failure = None
    insights.now += timedelta(hours=1)  # the claim of the day has run out
    insights.look()
    assert "usage.requests" not in [each["series"] for each in insights.sent]
    assert insights.alert()["notice"] == "sending"


@pytest.mark.parametrize(
    ("failure", "is_told_later"),
    [
        (ServiceError("EventBridge failed at PutEvents: AccessDenied", aws_code="AccessDeniedException"), True),
        # It may have been taken.
        (ServiceError("EventBridge failed at PutEvents: no answer", is_transient=True), False),
    ],
)
def test_what_was_refused_for_certain_is_told_of_an_hour_later(
    insights: Insights, failure: ServiceError, *, is_told_later: bool
) -> None:
    insights.use("acme", last=30)
    insights.failure = failure
    with pytest.raises(InsightsFailedError):
        insights.look()
    insights.failure = None
    insights.now += timedelta(hours=1)
    insights.look()
    assert ("usage.requests" in [each["series"] for each in insights.sent]) is is_told_later


def test_nobody_is_told_who_does_not_want_it(insights: Insights) -> None:
    insights.use("acme", last=30)
    insights.use("zoo", last=30)
    insights.prefer("zoo", "agent_config", insightGeneration={"proactiveInsights": False})
    own = insights.app.configuration.tenant("acme")
    insights.app.configuration.change(own.id, "features", lambda _, __: {"insights": False}, ADMIN)
    insights.look()
    assert insights.sent == []
    insights.restart()
    assert insights.find().error["code"] == "feature_disabled"


def test_what_is_muted_is_neither_shown_nor_told_of_until_it_is_over(insights: Insights) -> None:
    insights.use("acme", last=30)
    figures = {"figures": ["usage.requests"]}
    [alert, *_] = insights.find(figures).body["insights"]
    muted = insights.send(f"POST {INSIGHTS}/{alert['id']}/mute", {"days": 7})
    assert muted.status == 200, muted.raw
    assert muted.body["muted_until"] > insights.now.isoformat()
    quiet = insights.find(figures).body
    assert alert["id"] not in [each["id"] for each in quiet["insights"]]
    assert quiet["muted"] == 1
    insights.look()
    assert "usage.requests" not in [each["series"] for each in insights.sent]
    assert insights.alert()["muted_until"] == muted.body["muted_until"]
    insights.send(f"POST {INSIGHTS}/{alert['id']}/mute", {"days": 0})
    assert insights.find(figures).body["muted"] == 0


def test_what_three_keys_do_not_find_useful_is_told_of_no_more(insights: Insights) -> None:
    insights.use("acme", last=30)
    [alert, *_] = insights.find({"figures": ["usage.requests"]}).body["insights"]
    assert alert["priority"] != "low"
    path = f"POST {INSIGHTS}/{alert['id']}/feedback"
    keys = [insights.key("acme", role="manager") for _ in range(3)]
    insights.send(path, {"is_useful": True}, api_key=keys[0])
    for key in (*keys, keys[2]):  # the last one says it twice, and the first one something else than before
        rated = insights.send(path, {"is_useful": False}, api_key=key)
        assert rated.status == 200, rated.raw
    assert rated.body["feedback"] == {"useful": 0, "not_useful": 3}
    assert insights.find({"figures": ["usage.requests"]}).body["insights"][-1]["priority"] == "low"
    insights.look()
    assert "usage.requests" not in [each["series"] for each in insights.sent]


def test_one_key_counts_once_for_a_kind_whichever_insights_of_it_it_rates(insights: Insights) -> None:
    lower = {**DASHBOARD, "deployment_frequency": {"current": 2, "historical_avg": 5}}
    first, second = (insights.find(body).body["insights"][0] for body in (DASHBOARD, lower))
    assert (first["series"], first["insight_type"]) == (second["series"], second["insight_type"])
    assert first["id"] != second["id"]
    for each in (first, second):
        rated = insights.send(f"POST {INSIGHTS}/{each['id']}/feedback", {"is_useful": False})
        assert rated.body["feedback"] == {"useful": 0, "not_useful": 1}, rated.raw
    rated = insights.send(f"POST {INSIGHTS}/{second['id']}/feedback", {"is_useful": True})
    assert rated.body["feedback"] == {"useful": 1, "not_useful": 0}, rated.raw
    # What was said again changed nothing.
    query = AuditQuery(tenant="acme", action=Action.INSIGHTS_RATED)
    records = insights.app.audit_log.page(query, page=None, limit=10).records
    assert [(each.act.target, each.act.changes["is_useful"]) for each in records] == [
        (second["id"], Change(False, True)),
        (first["id"], Change(None, False)),
    ]
    assert records[0].actor_key == key_id(insights.api_key)


@pytest.mark.parametrize(
    "before",
    ["z", "a", "ins_", "insd_2026112500_0123456789abcdef01234567", "ins_2026112500_0123456789abcdef01234567\n"],
)
def test_a_list_begins_after_an_insight_of_own_figures_alone(insights: Insights, before: str) -> None:
    answer = insights.send(f"GET {INSIGHTS}", query={"before": before})
    assert (answer.status, answer.error["param"]) == (400, "before"), answer.raw


def test_another_tenant_s_insight_is_not_there(insights: Insights) -> None:
    [found, *_] = insights.find().body["insights"]
    stranger = insights.key("zoo", role="operator")
    for what, body in (("mute", {"days": 7}), ("feedback", {"is_useful": False})):
        for id_ in (found["id"], "ins_2026112500_0123456789abcdef01234567", "..%2Facme"):
            answer = insights.send(f"POST {INSIGHTS}/{id_}/{what}", body, api_key=stranger)
            assert answer.status == 404, answer.raw
        assert insights.send(f"POST {INSIGHTS}/{found['id']}/{what}", body, api_key=insights.key("acme")).status == 403
    again = insights.find().body["insights"]
    assert [each["feedback"] for each in again if each["id"] == found["id"]] == [{"useful": 0, "not_useful": 0}]


def test_a_narrative_with_numbers_of_its_own_is_dropped_and_the_insights_are_not(
    insights: Insights, fake: FakeProvider
) -> None:
    fake.configure(answer="Deployments are down 40.0 %, and lead time is up.")
    answer = insights.find({"narrative": True, **DASHBOARD})
    assert answer.body["narrative"]["status"] == "written", answer.raw
    assert "x-sluice-request-id" in answer.headers
    prompt = json.dumps(fake.last_body())
    assert "Deployment frequency has dropped 40.0% below historical average" in prompt
    fake.configure(answer="Deployments are down 45 %.")
    answer = insights.send(f"POST {INSIGHTS}", DASHBOARD, headers={"cache-control": "no-cache"})
    assert answer.body["narrative"]["status"] == "dropped"
    assert answer.body["narrative"]["text"] is None
    assert len(answer.body["insights"]) == 2


def test_where_no_model_answers_insights_are_given_all_the_same(insights: Insights, fake: FakeProvider) -> None:
    fake.add_raw(b"{}", raw_status=500, times=20)
    answer = insights.find({"narrative": True, **DASHBOARD})
    assert answer.status == 200, answer.raw
    assert answer.body["narrative"]["status"] == "unavailable"
    assert answer.body["narrative"]["reason"]
    assert len(answer.body["insights"]) == 2


def test_a_list_goes_on_where_a_page_ends(insights: Insights) -> None:
    insights.use("acme", last=30)
    insights.look()
    everything = [each["id"] for each in insights.listed()]
    assert len(everything) > 1
    first = insights.send(f"GET {INSIGHTS}", query={"limit": "1"}).body
    rest = insights.listed(before=first["before"])
    assert [first["data"][0]["id"], *(each["id"] for each in rest)] == everything


def test_a_failed_report_keeps_nobody_from_insights(insights: Insights, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    class Failing:
        def run(self, _: object) -> None:
            raise OSError("reports")

    class Noting:
        def run(self, _: object) -> None:
            ran.append("insights")

    app = insights.app
    monkeypatch.setitem(app.__dict__, "reporter", Failing())
    monkeypatch.setitem(app.__dict__, "proactive_insights", Noting())
    with pytest.raises(OSError, match="reports"):
        schedule_handler(app)({}, CONTEXT)  # type: ignore[arg-type]
    assert ran == ["insights"]


def _manager(insights: Insights) -> Actor:
    key = insights.app.directory.key(key_id(insights.api_key))
    tenant = insights.app.directory.tenant("acme")
    assert key is not None
    assert tenant is not None
    return Actor(Principal(key, tenant), "req_test")
