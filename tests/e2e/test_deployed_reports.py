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

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def show(stack: RunningStack, path: str, **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {stack.stack.operator_key}"}
    return httpx.get(f"{stack.stack.base_url}/reports{path}", params=query, headers=headers, timeout=60)


def record_yesterday(stack: RunningStack) -> None:
    """Have the stack's tenant have used something on the day that has ended."""
    aws = stack.ministack.aws
    key = Credentials(aws.key.access_key_id, aws.key.secret_access_key)
    client = DynamoDB(ServiceConfig("us-east-1", key, aws.endpoint_url))
    table = function_environment(stack.ministack, stack.deployment.outputs["UsageFunctionName"])["USAGE_TABLE"]
    used = UsageRecord(
        tenant="local",
        caller="yesterday",
        provider="gateway",
        model="fake-model",
        usage=Usage(100, 20),
        cost_nanousd=1_500_000,
        response_time_ms=250,
    )
    UsageRecords(table, client=client).add(used, YESTERDAY)


def test_the_schedule_makes_the_report_of_the_day_that_has_ended(stack: RunningStack) -> None:
    record_yesterday(stack)
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
    day = YESTERDAY.date().isoformat()
    ends_at_s = time.monotonic() + 90
    while not (listed := show(stack, "").json()["data"]):
        assert time.monotonic() < ends_at_s, "the schedule has not run"
        time.sleep(2)
    assert listed[0]["day"] == day
    report = show(stack, f"/{day}")
    assert report.status_code == 200, report.text
    assert report.json()["totals"]["requests"] == 1
    page = show(stack, f"/{day}", format="html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
