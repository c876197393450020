"""What template.yaml deploys, read after SAM's transform: what CloudFormation gets."""

import copy
import json
import re
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sluice import telemetry
from tools import template

CHAT_ROUTES = [
    ("/v1/chat/completions", "post"),
    ("/v1/models", "get"),
    ("/v1/models/{id+}", "get"),
    ("/api/v1/llm/completion", "post"),
    ("/api/v1/llm/chat", "post"),
    ("/openapi.json", "get"),
]
ASKING_ROUTES = [
    ("/v1/tasks/{name}", "post"),
    ("/api/v1/questions/generate", "post"),
    ("/api/v1/genai/chat", "post"),
    ("/api/v1/genai/remediation", "post"),
    ("/api/v1/genai/analysis", "post"),
    ("/api/v1/genai/explanation", "post"),
    ("/api/v1/genai/optimization", "post"),
    ("/api/v1/genai/troubleshooting", "post"),
    ("/api/v1/genai/custom", "post"),
    ("/api/v1/genai/batch", "post"),
]
FUNCTIONS = [
    "ChatFunction",
    "KeysFunction",
    "TasksFunction",
    "OperationsFunction",
    "UsageFunction",
    "ConversationsFunction",
]


@cache
def deployed() -> dict[str, Any]:
    return template.transformed(template.load())


@cache
def resources(response_streaming: str = "true", extended_timeout: str = "false") -> dict[str, Any]:
    """The resources with every condition decided, as CloudFormation does it."""
    source = deployed()
    conditions = {
        "Streams": response_streaming == "true",
        "Waits": extended_timeout == "true",
        "Snapshots": True,
        "IsArm": True,
        "HasAlarmTopic": False,
        "ManagesLogRole": True,
    }
    assert conditions.keys() == source["Conditions"].keys()
    decided: dict[str, Any] = _decided(source["Resources"], conditions)
    return decided


def _decided(value: Any, conditions: Mapping[str, bool]) -> Any:
    if isinstance(value, list):
        items = (_decided(item, conditions) for item in value)
        return [item for item in items if item != {"Ref": "AWS::NoValue"}]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Fn::If"}:
        condition, positive, negative = value["Fn::If"]
        return _decided(positive if conditions[condition] else negative, conditions)
    properties = ((name, _decided(inner, conditions)) for name, inner in value.items())
    return {name: inner for name, inner in properties if inner != {"Ref": "AWS::NoValue"}}


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in resources().items() if resource["Type"] == kind}


def integrations(response_streaming: str = "true", extended_timeout: str = "false") -> dict[tuple[str, str], Any]:
    paths = resources(response_streaming, extended_timeout)["Api"]["Properties"]["Body"]["paths"]
    return {
        (path, method): operation["x-amazon-apigateway-integration"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def variables(function: str, response_streaming: str = "true") -> dict[str, Any]:
    found: dict[str, Any] = resources(response_streaming)[function]["Properties"]["Environment"]["Variables"]
    return found


@pytest.mark.parametrize("route", CHAT_ROUTES)
def test_production_streams(route: tuple[str, str]) -> None:
    integration = integrations()[route]
    assert integration["responseTransferMode"] == "STREAM"
    assert integration["uri"]["Fn::Sub"].endswith(
        "lambda:path/2021-11-15/functions/${ChatFunctionAliaslive}/response-streaming-invocations"
    )


def test_the_web_adapter_s_layer_is_of_the_processor_s_kind() -> None:
    layers = json.dumps(deployed()["Resources"]["ChatFunction"]["Properties"]["Layers"][-1])
    assert re.findall(r"LambdaAdapterLayer(\w+):(\d+)", layers) == [("Arm64", "30"), ("X86", "30")]


def test_production_runs_the_chat_app_under_the_web_adapter() -> None:
    function = resources()["ChatFunction"]["Properties"]
    assert function["Handler"] == "run.sh"
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Layers"][-1] == {
        "Fn::Sub": "arn:aws:lambda:${AWS::Region}:753240598075:layer:LambdaAdapterLayerArm64:30"
    }
    assert len(function["Layers"]) == 3
    wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap", "AWS_LWA_INVOKE_MODE": "response_stream"}
    assert wrapper.items() <= variables("ChatFunction").items()


@pytest.mark.parametrize("route", CHAT_ROUTES)
def test_the_local_stack_is_buffered(route: tuple[str, str]) -> None:
    integration = integrations("false")[route]
    assert integration["responseTransferMode"] == "BUFFERED"
    assert integration["uri"]["Fn::Sub"].endswith(
        "lambda:path/2015-03-31/functions/${ChatFunctionAliaslive}/invocations"
    )


def test_the_local_stack_runs_the_chat_app_without_the_web_adapter() -> None:
    function = resources("false")["ChatFunction"]["Properties"]
    assert function["Handler"] == "app.handler"
    assert len(function["Layers"]) == 2
    assert not [name for name in variables("ChatFunction", "false") if name.startswith(("AWS_LWA", "AWS_LAMBDA_EXEC"))]


@pytest.mark.parametrize(("extended_timeout", "buffered_s"), [("true", 120), ("false", 29)])
@pytest.mark.parametrize(("response_streaming", "streamed_s"), [("true", 900), ("false", None)])
def test_api_gateway_waits_as_long_as_a_function_that_asks_a_model_runs(
    response_streaming: str, streamed_s: int | None, extended_timeout: str, buffered_s: int
) -> None:
    """Sluice answers a little before its function's time is up."""
    chat_s = streamed_s or buffered_s
    expected = dict.fromkeys(ASKING_ROUTES, buffered_s) | dict.fromkeys(CHAT_ROUTES, 29)
    expected |= dict.fromkeys([route for route in CHAT_ROUTES if route[1] == "post"], chat_s)
    routes = integrations(response_streaming, extended_timeout)
    # Where nothing else is said, it waits 29 s.
    waits_s = {route: integration.get("timeoutInMillis", 29_000) / 1000 for route, integration in routes.items()}
    assert waits_s == dict.fromkeys(routes, 29) | expected
    functions = resources(response_streaming, extended_timeout)
    times_s = {name: functions[name]["Properties"]["Timeout"] for name in FUNCTIONS}
    slow = {"TasksFunction": buffered_s}
    assert times_s == dict.fromkeys(FUNCTIONS, 29) | slow | {"ChatFunction": chat_s}


@pytest.mark.parametrize("route", list(integrations()))
def test_api_gateway_may_invoke_the_alias_that_a_route_leads_to(route: tuple[str, str]) -> None:
    path, method = route
    match = re.search(r"functions/\$\{(\w+)\}/", integrations()[route]["uri"]["Fn::Sub"])
    assert match
    alias = match[1]
    assert resources()[alias]["Type"] == "AWS::Lambda::Alias"
    allowed = [
        json.dumps(permission["Properties"]["SourceArn"])
        for permission in of_type("AWS::Lambda::Permission").values()
        if permission["Properties"]["FunctionName"] == {"Ref": alias}
    ]
    # SAM allows the path as it is, chat's permission the whole API.
    exact = f"/{method.upper()}{re.sub(r'\{[^}]+\}', '*', path)}"
    assert any(exact in arn or "${Api}/*" in arn for arn in allowed)


def test_routes_are_read_as_they_are_deployed() -> None:
    source = template.load()
    read = {(route.path, route.method.lower()) for name in FUNCTIONS for route in template.routes(source, name)}
    assert read == set(integrations())


def test_a_model_id_with_slashes_has_a_route() -> None:
    routes = template.routes(template.load(), "ChatFunction")
    path = "/v1/models/meta-llama/llama-4-scout-17b-16e-instruct"
    assert [route.path for route in routes if route.matches("GET", path)] == ["/v1/models/{id+}"]
    assert not [route for route in routes if route.matches("GET", "/v1/keys")]
    assert not [route for route in routes if route.matches("POST", path)]


@pytest.mark.parametrize("layer", ["DependenciesLayer", "SluiceLayer"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_changed_layer_publishes_a_new_version(layer: str, function: str) -> None:
    changed = copy.deepcopy(template.load())
    changed["Resources"][layer]["Properties"]["ContentUri"] += "-changed"

    def version(source: Mapping[str, Any]) -> str:
        [name] = [str(name) for name in source["Resources"] if name.startswith(f"{function}Version")]
        return name

    assert version(template.transformed(changed)) != version(deployed())


def test_chat_s_published_version_starts_from_a_snapshot() -> None:
    assert resources()["ChatFunction"]["Properties"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_version_goes_when_the_next_one_is_published(function: str) -> None:
    """Its snapshot would cost as long as it is there."""
    [version] = [
        version
        for version in of_type("AWS::Lambda::Version").values()
        if version["Properties"]["FunctionName"] == {"Ref": function}
    ]
    assert version["DeletionPolicy"] == "Delete"


def _statements(function: str) -> list[dict[str, Any]]:
    role = resources()[f"{function}Role"]["Properties"]
    return [statement for policy in role.get("Policies", []) for statement in policy["PolicyDocument"]["Statement"]]


def _allowed(function: str) -> dict[str, set[str]]:
    """Actions by the logical id of the resource, or `<id>/index/<name>`, that they are allowed on."""
    allowed: dict[str, set[str]] = {}
    for statement in _statements(function):
        assert statement["Effect"] == "Allow"
        listed = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in listed:
            if "Fn::Sub" in resource:
                # A table's index: `${Table.Arn}/index/name`.
                name = resource["Fn::Sub"].removeprefix("${").replace(".Arn}", "")
            else:
                name = resource["Ref"] if "Ref" in resource else resource["Fn::GetAtt"][0]
            allowed.setdefault(name, set()).update(statement["Action"])
    return allowed


def test_each_function_may_do_what_it_does_and_nothing_else() -> None:
    read_secret = {"secretsmanager:GetSecretValue"}
    assert _allowed("ChatFunction") == {
        "ResponseCacheTable": {"dynamodb:BatchGetItem", "dynamodb:PutItem"},
        "QuotaTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "CircuitBreakersTable": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "DirectoryTable": {"dynamodb:GetItem"},
        "UsageTable": {"dynamodb:UpdateItem"},
        "ConversationsTable": {"dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
        "AdminKeySecret": read_secret,
        "CredentialsSecret": read_secret,
    }
    assert _allowed("KeysFunction") == {
        "DirectoryTable": {
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:Query",
        },
        "AdminKeySecret": read_secret,
    }
    assert _allowed("TasksFunction") == _allowed("ChatFunction") | {
        "DirectoryTable": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "UsageTable": {"dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "QuestionsTable": {"dynamodb:Query", "dynamodb:PutItem"},
        "ConversationsTable": {
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
        },
    }
    assert _allowed("OperationsFunction") == {
        "ResponseCacheTable": {"dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
        "QuotaTable": {"dynamodb:BatchGetItem"},
        "CircuitBreakersTable": {"dynamodb:BatchGetItem"},
        "DirectoryTable": {"dynamodb:GetItem", "dynamodb:Query"},
        "UsageTable": {"dynamodb:Query"},
        "AdminKeySecret": read_secret,
        "CredentialsSecret": read_secret,
    }
    assert _allowed("UsageFunction") == {
        "DirectoryTable": {"dynamodb:GetItem"},
        "UsageTable": {"dynamodb:Query"},
        "AdminKeySecret": read_secret,
    }
    assert _allowed("ConversationsFunction") == {
        "ConversationsTable": {
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
        },
        "ConversationsTable/index/by-owner": {"dynamodb:Query"},
        "DirectoryTable": {"dynamodb:GetItem"},
        "AdminKeySecret": read_secret,
    }


def test_operators_reach_the_generations_of_caches_and_no_answers() -> None:
    [on_cache] = [each for each in _statements("OperationsFunction") if "ResponseCacheTable" in json.dumps(each)]
    assert on_cache["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["generation#*"]}}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_told_of_exactly_what_it_may_use(function: str) -> None:
    named = {value["Ref"] for value in variables(function).values() if isinstance(value, dict)}
    assert named & resources().keys() == {name.split("/")[0] for name in _allowed(function)}


def test_roles_allow_writing_logs_only_beside_their_statements() -> None:
    for function in FUNCTIONS:
        attached = json.dumps(resources()[f"{function}Role"]["Properties"]["ManagedPolicyArns"])
        names = set(re.findall(r"policy/(?:service-role/)?(\w+)", attached))
        assert names == {"AWSLambdaBasicExecutionRole"}


@pytest.mark.parametrize("name", [name for name, r in resources().items() if r["Type"] == "AWS::DynamoDB::Table"])
def test_a_table_is_on_demand_encrypted_for_nothing_and_either_expires_or_is_backed_up(name: str) -> None:
    table = resources()[name]
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    # DynamoDB encrypts every table; saying so would choose a key that is paid for.
    assert "SSESpecification" not in properties
    expires = properties.get("TimeToLiveSpecification", {}).get("Enabled", False)
    is_backed_up = properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled", False)
    assert expires != is_backed_up
    assert not is_backed_up or table["UpdateReplacePolicy"] == "Retain"


def test_the_admin_key_is_generated_from_letters_and_digits() -> None:
    assert resources()["AdminKeySecret"]["Properties"]["GenerateSecretString"] == {
        "SecretStringTemplate": '{"id": "admin"}',
        "GenerateStringKey": "secret",
        "PasswordLength": 40,
        "ExcludeCharacters": string.punctuation,
    }, "CloudFormation makes another key when this changes"


def test_an_update_leaves_the_providers_keys_alone() -> None:
    value = resources()["CredentialsSecret"]["Properties"]["SecretString"]
    assert value == '{"credentials": []}', "CloudFormation replaces the filled secret when this changes"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_s_logs_end_and_its_errors_and_throttles_alarm(function: str) -> None:
    group = resources()[function]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert resources()[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
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


def test_what_sluice_counts_alarms_as_it_is_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = [
        alarm["Properties"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == "Sluice"
    ]
    assert {alarm["MetricName"] for alarm in alarms} == {
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
        assert (line["service"], line["of"], line[alarm["MetricName"]]) == ("a-stack", "one", [1.0])
    for function in FUNCTIONS:
        assert variables(function)["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def test_the_api_has_access_logs_and_throttling() -> None:
    stage = resources()["ApiliveStage"]["Properties"]
    assert json.loads(stage["AccessLogSetting"]["Format"])["requestId"] == "$context.requestId"
    [settings] = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ThrottleRequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ThrottleBurst"}


def test_what_api_gateway_answers_itself_is_in_openai_s_envelope() -> None:
    responses = resources()["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "MISSING_AUTHENTICATION_TOKEN", "REQUEST_TOO_LARGE", "THROTTLED"} <= set(
        responses
    )
    for response in responses.values():
        text = response["responseTemplates"]["application/json"].replace("$context.error.messageString", '"message"')
        error = json.loads(text)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
