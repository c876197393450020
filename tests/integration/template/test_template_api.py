"""The API of template.yaml: its routes, what answers them, and what may stand before it."""

import json
import re
from typing import Any

import pytest

from tests.transformed import BUFFERED, FUNCTIONS, integrations, of_type, resources
from tools import template

STREAMING_ROUTES = [
    ("/v1/chat/completions", "post"),
    ("/v1/responses", "post"),
    ("/v1/responses/input_tokens", "post"),
    ("/v1/responses/{response_id}", "get"),
    ("/v1/responses/{response_id}", "delete"),
    ("/v1/responses/{response_id}/input_items", "get"),
    ("/v1/responses/{response_id}/cancel", "post"),
    ("/v1/messages", "post"),
    ("/v1/messages/count_tokens", "post"),
    ("/v1/completions", "post"),
    ("/v1/moderations", "post"),
    ("/v1/embeddings", "post"),
    ("/v1/models", "get"),
    ("/v1/models/{id+}", "get"),
    ("/openai/v1/chat/completions", "post"),
    ("/openai/v1/models", "get"),
    ("/openai/v1/models/{id+}", "get"),
    ("/api/v1/llm/completion", "post"),
    ("/api/v1/llm/chat", "post"),
    ("/openapi.json", "get"),
]
ASKING_ROUTES = [
    ("/v1/tasks/{name}", "post"),
    ("/api/v1/ai/qa/ask", "post"),
    ("/api/v1/ai/dashboard/insights", "post"),
    ("/api/v1/questions/generate", "post"),
    ("/api/tasks/{task_id}/generate-test-cases", "post"),
    ("/api/v1/genai/chat", "post"),
    ("/api/v1/genai/remediation", "post"),
    ("/api/v1/genai/analysis", "post"),
    ("/api/v1/genai/explanation", "post"),
    ("/api/v1/genai/optimization", "post"),
    ("/api/v1/genai/troubleshooting", "post"),
    ("/api/v1/genai/custom", "post"),
    ("/api/v1/genai/batch", "post"),
]
DOMAIN = {
    "DomainName": "llm.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0a1b",
}


def _function_of(integration: dict[str, Any]) -> str:
    match = re.search(r"functions/\$\{(\w+)Aliaslive\}/", integration["uri"]["Fn::Sub"])
    assert match
    return match[1]


def _streaming(route: tuple[str, str]) -> str:
    return "EmbeddingsFunction" if route[0] == "/v1/embeddings" else "ChatFunction"


# Routes of a function that streams, which ask no model.
ASKING_NOBODY = {("/v1/responses/input_tokens", "post"), ("/v1/responses/{response_id}/cancel", "post")}


@pytest.mark.parametrize("route", STREAMING_ROUTES)
def test_production_streams(route: tuple[str, str]) -> None:
    integration = integrations()[route]
    assert integration["responseTransferMode"] == "STREAM"
    assert integration["uri"]["Fn::Sub"].endswith(
        f"lambda:path/2021-11-15/functions/${{{_streaming(route)}Aliaslive}}/response-streaming-invocations"
    )


@pytest.mark.parametrize("route", STREAMING_ROUTES)
def test_a_buffered_stack_answers_whole(route: tuple[str, str]) -> None:
    integration = integrations(**BUFFERED)[route]
    assert "responseTransferMode" not in integration
    assert integration["uri"]["Fn::Sub"].endswith(
        f"lambda:path/2015-03-31/functions/${{{_streaming(route)}Aliaslive}}/invocations"
    )


def test_only_the_functions_of_chats_and_embeddings_stream() -> None:
    streaming = [route for route, integration in integrations().items() if "responseTransferMode" in integration]
    assert sorted(streaming) == sorted(STREAMING_ROUTES)


@pytest.mark.parametrize(("extended_timeout", "buffered_s"), [("true", 120), ("false", 29)])
@pytest.mark.parametrize(("response_streaming", "streamed_s"), [("true", 900), ("false", None)])
def test_api_gateway_waits_as_long_as_a_function_that_asks_a_model_runs(
    response_streaming: str, streamed_s: int | None, extended_timeout: str, buffered_s: int
) -> None:
    """Sluice answers a little before its function's time is up."""
    parameters = {"ResponseStreaming": response_streaming, "ExtendedTimeout": extended_timeout}
    chat_s = streamed_s or buffered_s
    expected = dict.fromkeys(ASKING_ROUTES, buffered_s) | dict.fromkeys(STREAMING_ROUTES, 29)
    expected |= dict.fromkeys(
        [route for route in STREAMING_ROUTES if route[1] == "post" and route not in ASKING_NOBODY], chat_s
    )
    routes = integrations(**parameters)
    # Where nothing else is said, it waits 29 s.
    waits_s = {route: integration.get("timeoutInMillis", 29_000) / 1000 for route, integration in routes.items()}
    assert waits_s == dict.fromkeys(routes, 29) | expected
    longest_s = {_function_of(routes[route]): wait_s for route, wait_s in sorted(waits_s.items(), key=lambda w: w[1])}
    times_s = {name: resources(**parameters)[name]["Properties"]["Timeout"] for name in longest_s}
    assert times_s == longest_s


@pytest.mark.parametrize("route", list(integrations()))
def test_api_gateway_may_invoke_the_alias_that_a_route_leads_to(route: tuple[str, str]) -> None:
    path, method = route
    alias = f"{_function_of(integrations()[route])}Aliaslive"
    assert resources()[alias]["Type"] == "AWS::Lambda::Alias"
    allowed = [
        json.dumps(permission["Properties"]["SourceArn"])
        for permission in of_type("AWS::Lambda::Permission").values()
        if permission["Properties"]["FunctionName"] == {"Ref": alias}
    ]
    # SAM allows the path as it is.
    exact = f"/{method.upper()}{re.sub(r'\{[^}]+\}', '*', path)}"
    assert any(exact in arn for arn in allowed)


def test_a_browser_that_asks_beforehand_is_answered_on_every_path() -> None:
    paths = resources()["Api"]["Properties"]["Body"]["paths"]
    for path in {path for path, _ in integrations()}:
        asked = paths[path]["options"]["x-amazon-apigateway-integration"]
        assert asked["type"] == "mock"
        headers = asked["responses"]["default"]["responseParameters"]
        # A wildcard does not cover authorization (Fetch standard).
        assert headers["method.response.header.Access-Control-Allow-Headers"] == "'authorization,*'"


def test_routes_are_read_as_they_are_deployed() -> None:
    source = template.load()
    read = {(route.path, route.method.lower()): name for name in FUNCTIONS for route in template.routes(source, name)}
    assert read == {route: _function_of(integration) for route, integration in integrations().items()}


def test_a_model_id_with_slashes_has_a_route() -> None:
    routes = template.routes(template.load(), "ChatFunction")
    path = "/v1/models/meta-llama/llama-4-scout-17b-16e-instruct"
    assert [route.path for route in routes if route.matches("GET", path)] == ["/v1/models/{id+}"]
    assert not [route for route in routes if route.matches("GET", "/v1/keys")]
    assert not [route for route in routes if route.matches("POST", path)]


def test_the_api_has_access_logs_and_throttling() -> None:
    stage = resources(ThrottleRequestsPerSecond="7", ThrottleBurst="8")["ApiliveStage"]["Properties"]
    assert json.loads(stage["AccessLogSetting"]["Format"])["requestId"] == "$context.requestId"
    [settings] = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == ("7", "8")


def test_the_log_role_is_set_before_the_stage_that_logs_if_it_is_this_stack_s() -> None:
    assert resources()["Api"]["Properties"]["Description"]["Fn::Sub"].endswith("${ApiGatewayAccount}")
    without = resources(ManageApiGatewayLogRole="false")
    assert without["Api"]["Properties"]["Description"] == "Sluice"
    assert not {"ApiGatewayAccount", "ApiGatewayLogRole"} & without.keys()


def test_what_api_gateway_answers_itself_is_in_openai_s_envelope_and_in_anthropic_s() -> None:
    responses = resources()["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
    assert {
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "MISSING_AUTHENTICATION_TOKEN",
        "REQUEST_TOO_LARGE",
        "THROTTLED",
        "WAF_FILTERED",
    } <= set(responses)
    for response in responses.values():
        text = response["responseTemplates"]["application/json"].replace("$context.error.messageString", '"message"')
        body = json.loads(text)
        assert body["error"].keys() == {"message", "type", "param", "code"}
        assert (body["type"], body["request_id"]) == ("error", "$context.requestId")


def test_addresses_are_bounded_by_a_web_acl_only_if_asked_for() -> None:
    assert not of_type("AWS::WAFv2::WebACL")
    bounded = resources(AddressRequestsPerFiveMinutes="500")
    [rule] = bounded["WebAcl"]["Properties"]["Rules"]
    assert rule["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP",
        "EvaluationWindowSec": 300,
        "Limit": "500",
    }
    assert rule["Action"] == {"Block": {}}
    association = bounded["WebAclAssociation"]["Properties"]
    assert association["WebACLArn"] == {"Fn::GetAtt": ["WebAcl", "Arn"]}
    assert association["ResourceArn"]["Fn::Sub"].endswith("/restapis/${Api}/stages/${ApiliveStage}")


def test_a_domain_leads_to_the_stage_and_is_what_clients_are_told() -> None:
    assert not of_type("AWS::ApiGateway::DomainName")
    named = resources(**DOMAIN)
    assert named["DomainMapping"]["Properties"] == {
        "DomainName": {"Ref": "Domain"},
        "RestApiId": {"Ref": "Api"},
        "Stage": {"Ref": "ApiliveStage"},
    }
    assert "DomainRecord" not in named
    record = resources(**DOMAIN, HostedZoneId="Z123")["DomainRecord"]["Properties"]
    assert (record["Name"], record["HostedZoneId"]) == ("llm.example.com", "Z123")
    assert record["AliasTarget"]["DNSName"] == {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}
