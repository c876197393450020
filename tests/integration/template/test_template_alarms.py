"""The alarms of template.yaml, and the log groups."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sluice
from sluice.request_log.line import fields_of, metrics_of
from sluice.request_log.record import Attempted, GuardModelUse, Judgement, RequestOutcome, RequestRecord
from sluice.telemetry.metrics import emit_metric
from tests.transformed import FUNCTIONS, of_type, resources, variables
from tools import template
from tools.processes import ROOT

LOGINS = {"JwtIssuer": "https://login.example.com", "JwtAudience": "llm", "JwtDefaultTenant": "school"}


def test_the_issuer_of_logins_has_an_alarm_where_there_is_one() -> None:
    assert "SigningKeysNotRefreshedAlarm" in resources(**LOGINS)
    assert "SigningKeysNotRefreshedAlarm" not in resources()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_s_logs_end_and_its_errors_and_throttles_alarm(function: str) -> None:
    group = resources()[function]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert resources(LogRetentionDays="7")[group]["Properties"]["RetentionInDays"] == "7"
    watched = {
        alarm["Properties"]["MetricName"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if {"Name": "FunctionName", "Value": {"Ref": function}} in alarm["Properties"]["Dimensions"]
    }
    # What a queue invokes fails into its dead letters, which have an alarm.
    is_invoked_by_a_queue = bool(template.queues(template.load(), function))
    assert watched == (set() if is_invoked_by_a_queue else {"Errors", "Throttles"})


@pytest.mark.parametrize(
    ("table", "metric"), [("QuotaTable", "WriteThrottleEvents"), ("DirectoryTable", "ReadThrottleEvents")]
)
def test_a_throttled_table_that_requests_are_refused_without_alarms(table: str, metric: str) -> None:
    assert [
        alarm["Properties"]["MetricName"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if {"Name": "TableName", "Value": {"Ref": table}} in alarm["Properties"]["Dimensions"]
    ] == [metric]


def test_every_alarm_goes_to_the_topic_if_there_is_one() -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    told = [alarm["Properties"] for alarm in of_type("AWS::CloudWatch::Alarm", AlarmTopicArn=topic).values()]
    assert told
    assert [alarm["AlarmDescription"] for alarm in told if alarm["AlarmActions"] != [topic]] == []
    untold = [alarm["Properties"] for alarm in of_type("AWS::CloudWatch::Alarm").values()]
    assert not [alarm for alarm in untold if "AlarmActions" in alarm]


def test_what_sluice_counts_alarms_as_it_is_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = [
        alarm["Properties"]
        for alarm in of_type("AWS::CloudWatch::Alarm", **LOGINS).values()
        if alarm["Properties"]["Namespace"] == "Sluice"
    ]
    assert {alarm["MetricName"] for alarm in alarms} == {
        "CredentialBroken",
        "CredentialRefused",
        "CredentialsNotRefreshed",
        "BookkeepingFailed",
        "QuotaAlert",
        "BrokenStreams",
        "StoreQualityLow",
        "ReportsUnfinished",
        "InsightsUnfinished",
        "SigningKeysNotRefreshed",
        "OwnTime",
    }
    package = Path(sluice.__file__).parent
    source = "".join(path.read_text() for path in package.rglob("*.py"))
    for alarm in alarms:
        name = alarm["MetricName"]
        assert f'emit_metric("{name}"' in source or f'Metric("{name}"' in source
        assert alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "a-stack")
        emit_metric(alarm["MetricName"], of="one")
        line = json.loads(capsys.readouterr().out)
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == alarm["Namespace"]
        assert directive["Metrics"] == [{"Name": alarm["MetricName"], "Unit": "Count"}]
        assert directive["Dimensions"] == [["service"], ["service", "of"]]
        assert (line["service"], line["of"], line[alarm["MetricName"]]) == ("a-stack", "one", 1)
    for function in FUNCTIONS:
        assert variables(function)["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / page).read_text())
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alarm_names_its_runbook_and_every_runbook_says_what_to_do() -> None:
    named = set()
    for name, alarm in of_type("AWS::CloudWatch::Alarm", **LOGINS).items():
        found = re.search(r"Runbook: (docs/runbooks\.md)#([a-z0-9-]+)$", alarm["Properties"]["AlarmDescription"])
        assert found, name
        named.add(found[2])
    assert named == _anchors("docs/runbooks.md")
    for section in (ROOT / "docs" / "runbooks.md").read_text().split("\n## ")[1:]:
        assert "**Means**" in section
        assert "**Look**" in section
        assert "**Do**" in section or "what to do" in section


def _dashboard() -> dict[str, Any]:
    [dashboard] = of_type("AWS::CloudWatch::Dashboard").values()
    found: dict[str, Any] = json.loads(dashboard["Properties"]["DashboardBody"]["Fn::Sub"])
    return found


def _emitted() -> dict[str, set[tuple[str, ...]]]:
    """The metrics of requests, with the dimensions beside the service by which they are counted."""
    base = RequestRecord(
        request_id="r",
        tenant="t",
        caller="c",
        route="r",
        outcome=RequestOutcome.ANSWERED,
        status=200,
        asked_model="auto",
        tier="smart",
        model="m",
        deployment="d",
        provider="p",
        cache="miss",
        error_code="conflict",
        guard_rules=("g",),
        guard_models=(GuardModelUse(judged="prompt", model="m", judgement=Judgement.PASSED, verdict="0.1"),),
        attempts=(Attempted("d", "circuit open"),),
        first_token_ms=1,
    )
    found: dict[str, set[tuple[str, ...]]] = {}
    for outcome in RequestOutcome:
        record = replace(base, outcome=outcome)
        said = fields_of(record, 0)
        for metric in metrics_of(record, 0.5, 0.5):
            found.setdefault(metric.name, set()).update({(), *metric.by})
            assert {name for names in metric.by for name in names} <= said.keys()
    return found


def test_the_dashboard_shows_what_is_counted_as_it_is_counted() -> None:
    emitted = _emitted()
    shown = set()
    for widget in _dashboard()["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], dict):
                found = re.search(r"\{Sluice,service,(\w+)\} MetricName=\"([^\"]+)\"", metric[0]["expression"])
                assert found, metric
                assert (found[1],) in emitted[found[2]]
                shown.add(found[2])
            elif metric[0] == "Sluice":
                assert metric[1] in emitted
                assert metric[2] == "service"
                shown.add(metric[1])
    # Tokens in and out are shown together.
    assert emitted.keys() - shown == {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"}


def test_the_dashboard_answers_five_questions_and_overlaps_nowhere() -> None:
    widgets = _dashboard()["widgets"]
    assert [each["properties"]["markdown"] for each in widgets if each["type"] == "text"] == [
        "## Is it up?",
        "## Who spends?",
        "## What is slow?",
        "## What is refused?",
        "## What runs out?",
    ]
    cells = [
        (column, row)
        for each in widgets
        for column in range(each["x"], each["x"] + each["width"])
        for row in range(each["y"], each["y"] + each["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24


def test_saved_queries_ask_for_what_lines_have_in_all_functions_logs() -> None:
    groups = set(of_type("AWS::Logs::LogGroup"))
    record = RequestRecord(
        request_id="r",
        api_request_id="a",
        tenant="t",
        caller="c",
        route="r",
        outcome=RequestOutcome.FAILED,
        status=500,
        error_code="x",
        model="m",
        deployment="d",
        cache="miss",
        attempts=(Attempted("d", "answered", 1),),
    )
    known = fields_of(record, 0).keys() | {"@timestamp", "level", "message", "action", "error", "raised"}
    known |= {"requestId", "integrationStatus", "integrationError"}
    queries = of_type("AWS::Logs::QueryDefinition")
    assert len(queries) == 4
    for query in queries.values():
        assert {group["Ref"] for group in query["Properties"]["LogGroupNames"]} == groups
        [fields] = re.findall(r"(?m)^fields (.+)$", query["Properties"]["QueryString"])
        assert set(fields.split(", ")) <= known


def test_the_access_log_says_how_the_integration_did_and_nothing_of_paths() -> None:
    written = resources()["ApiliveStage"]["Properties"]["AccessLogSetting"]["Format"]
    line = json.loads(written)
    assert line["integrationStatus"] == "$context.integration.status"
    assert line["integrationError"] == "$context.integration.error"
    assert "$context.path" not in written


def test_what_alarms_cost_at_rest_is_told_of_as_many_as_there_are() -> None:
    alarms = len(of_type("AWS::CloudWatch::Alarm"))
    told = (ROOT / "docs" / "deploying.md").read_text()
    assert f"so ${(alarms - 10) * 0.1:.2f} for all {alarms};" in told
