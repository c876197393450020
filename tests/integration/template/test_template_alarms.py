"""The alarms of template.yaml, and the log groups."""

import json
from pathlib import Path

import pytest

from sluice import telemetry
from tests.transformed import FUNCTIONS, of_type, resources, variables


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_s_logs_end_and_its_errors_and_throttles_alarm(function: str) -> None:
    group = resources()[function]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert resources(LogRetentionDays="7")[group]["Properties"]["RetentionInDays"] == "7"
    watched = {
        alarm["Properties"]["MetricName"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if {"Name": "FunctionName", "Value": {"Ref": function}} in alarm["Properties"]["Dimensions"]
    }
    assert watched == {"Errors", "Throttles"}


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
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == "Sluice"
    ]
    assert {alarm["MetricName"] for alarm in alarms} == {
        "CredentialBroken",
        "CredentialRefused",
        "CredentialsNotRefreshed",
        "BookkeepingFailed",
        "QuotaAlert",
    }
    package = Path(telemetry.__file__).parent
    source = "".join(path.read_text() for path in package.rglob("*.py"))
    for alarm in alarms:
        assert f'emit_metric("{alarm["MetricName"]}"' in source
        assert alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "a-stack")
        telemetry.emit_metric(alarm["MetricName"], of="one")
        line = json.loads(capsys.readouterr().out)
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == alarm["Namespace"]
        assert directive["Metrics"] == [{"Name": alarm["MetricName"], "Unit": "Count"}]
        assert directive["Dimensions"] == [["service"], ["service", "of"]]
        assert (line["service"], line["of"], line[alarm["MetricName"]]) == ("a-stack", "one", 1)
    for function in FUNCTIONS:
        assert variables(function)["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
