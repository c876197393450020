"""Reports and alerts on the deployed stack: its schedule runs the function by itself."""

import time
from datetime import UTC, datetime, timedelta

import httpx

from sluice.chat import Usage
from sluice.storage.client import DynamoDB
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials
from sluice.usage.records import UsageRecord, UsageRecords
from tools.deployment import function_environment
from tools.stack import RunningStack

TENANT = "reported"
"""Whose reports nobody has made: the hourly schedule itself may have run for the tenants that were there before."""


def create(stack: RunningStack, path: str, **body: str) -> dict[str, str]:
    headers = {"authorization": f"Bearer {stack.stack.admin_key}"}
    answer = httpx.post(f"{stack.stack.base_url}/{path}", headers=headers, json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    created: dict[str, str] = answer.json()
    return created


def record(stack: RunningStack, at: datetime) -> None:
    """Have the tenant have used something at a time."""
    aws = stack.ministack.aws
    key = Credentials(aws.key.access_key_id, aws.key.secret_access_key)
    client = DynamoDB(ServiceConfig("us-east-1", key, aws.endpoint_url))
    table = function_environment(stack.ministack, stack.deployment.outputs["UsageFunctionName"])["USAGE_TABLE"]
    used = UsageRecord(
        tenant=TENANT,
        caller="yesterday",
        provider="gateway",
        model="fake-model",
        usage=Usage(100, 20),
        cost_nanousd=1_500_000,
        response_time_ms=250,
    )
    UsageRecords(table, client=client).add(used, at)


def test_the_schedule_makes_the_report_of_the_day_that_has_ended(stack: RunningStack) -> None:
    # Before the tenant is there: a run of the hourly schedule then finds the use as soon as it finds the tenant.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    record(stack, yesterday)
    create(stack, "tenants", id=TENANT, name="Reported")
    operator_key = create(stack, "keys", tenant=TENANT, name="reported", role="operator")["api_key"]

    def show(path: str, **query: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {operator_key}"}
        return httpx.get(f"{stack.stack.base_url}/reports{path}", params=query, headers=headers, timeout=60)

    scheduler = stack.ministack.aws.session().client("scheduler", endpoint_url=stack.ministack.endpoint_url)
    [hourly] = [each for each in scheduler.list_schedules()["Schedules"] if "QuotaReportFunctionHourly" in each["Name"]]
    schedule = scheduler.get_schedule(Name=hourly["Name"])
    assert schedule["ScheduleExpression"] == "cron(5 * * * ? *)"
    # Another one of its target, which is due: MiniStack looks every ten seconds for what is.
    scheduler.create_schedule(
        Name="now",
        ScheduleExpression="at(2026-01-01T00:00:00)",
        FlexibleTimeWindow=schedule["FlexibleTimeWindow"],
        Target=schedule["Target"],
        ActionAfterCompletion="DELETE",
    )
    ends_at_s = time.monotonic() + 90
    while not (listed := show("").json()["data"]):
        assert time.monotonic() < ends_at_s, "the schedule has not run"
        time.sleep(2)
    # Where the suite runs over midnight the report of the day before is an older one.
    day = yesterday.date().isoformat()
    assert day in {each["day"] for each in listed}
    report = show(f"/{day}")
    assert report.status_code == 200, report.text
    assert report.json()["totals"]["requests"] == 1
    page = show(f"/{day}", format="html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
