"""A changed parameter of template.yaml reaches callers: it makes a new version of what runs and a new API deployment.

An alias leads to a version and a stage to a deployment, and both keep what they had when they were made. SAM makes a
new one when the hash of what it reads is another.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tests.transformed import BUFFERED, FUNCTIONS, version
from tools import template
from tools.template import Run

# Another value for each parameter than the default, or than BUFFERED's.
OTHER = {
    "ResponseStreaming": "true",
    "Architecture": "x86_64",
    "SnapStart": "true",
    "ChatReservedConcurrency": "5",
    "DeploymentPreference": "Linear10PercentEvery1Minute",
    "DefaultMaxTokens": "1000",
    "DefaultTemperature": "0.7",
    "CacheTtlSeconds": "60",
    "CachePolicy": "all",
    "GuardMode": "flag",
    "LocalEmbeddings": "false",
    "RoutingEnabled": "false",
    "MaxRetries": "1",
    "MaxAttempts": "4",
    "CircuitFailures": "3",
    "CircuitOpenSeconds": "30",
    "CircuitSuccesses": "2",
    "ConversationMessages": "20",
    "ConversationTokens": "8000",
    "PromptMaxCharacters": "9000",
    "RequestTimeoutSeconds": "20",
    "ExtendedTimeout": "true",
    "CallerRequestsPerMinute": "7",
    "CallerRequestsPerDay": "8",
    "UserRequestsPerMinute": "5",
    "UserRequestsPerDay": "6",
    "FastModels": "llama-3.1-8b-instant,small",
    "SmartModels": "large",
    "SmartModelMaxPercent": "15",
    "RoutingHealthWeight": "0.1",
    "RoutingQuotaWeight": "0.2",
    "RoutingSpeedWeight": "0.7",
    "JwtIssuer": "https://login.example.com",
    "JwtAudience": "llm",
    "JwtJwksUrl": "https://login.example.com/keys",
    "JwtTenantClaim": "org",
    "JwtTenants": "school.example.org=school",
    "JwtDefaultTenant": "school",
    "JwtUserClaim": "email",
    "JwtRoleClaim": "groups",
    "JwtRoles": "teachers=operator",
    "InteractiveSharePercent": "30",
    "BatchConcurrency": "9",
    "FileGigabytesPerKey": "7",
    "EmbeddingModel": "text-embedding-3-small",
    "CorsOrigins": "https://chat.example.com",
    "AllowedNetworks": "10.1.0.0/16",
    "ThrottleRequestsPerSecond": "9",
    "ThrottleBurst": "10",
    "AddressRequestsPerFiveMinutes": "100",
    "DomainName": "llm.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0a1b",
    "HostedZoneId": "Z123",
    "TraceEndpoint": "http://localhost:4318",
    "LogRetentionDays": "7",
    "DeletionProtection": "false",
    "RecoveryDays": "7",
    "MaxReadRequestUnits": "50",
    "MaxWriteRequestUnits": "60",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:on-call",
    "AlertEmail": "on-call@example.com",
    "BedrockModelArns": "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0",
    "ManageApiGatewayLogRole": "false",
}
# What Lambda keeps once for a function and not by version: it refuses to publish where nothing else changed.
UNVERSIONED = {"ReservedConcurrentExecutions", "Tags", "CodeSigningConfigArn", "RecursiveLoop"}


@cache
def _stacks(*, keeps_conditions: bool) -> dict[str | None, dict[str, Any]]:
    """The transformed template by the parameter that has its other value; None: no one has."""
    changed: dict[str | None, dict[str, str]] = {
        None: BUFFERED,
        **{name: {**BUFFERED, name: value} for name, value in OTHER.items()},
    }
    runs = [Run(parameters, keeps_conditions=keeps_conditions) for parameters in changed.values()]
    return dict(zip(changed, template.transform(template.read(), runs), strict=True))


def _deployment(source: Mapping[str, Any]) -> str:
    [name] = [str(name) for name in source["Resources"] if re.fullmatch(r"ApiDeployment[0-9a-f]+", name)]
    return name


def _properties(source: Mapping[str, Any], function: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Properties of a function, with the parameters that SAM leaves to CloudFormation resolved as well."""

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if isinstance(value, dict):
            if value.keys() == {"Ref"} and value["Ref"] in OTHER:
                return values.get(value["Ref"], "default")
            return {key: resolved(inner) for key, inner in value.items()}
        return value

    found: dict[str, Any] = resolved(source["Resources"][function]["Properties"])
    return found


def test_every_parameter_is_tried() -> None:
    parameters = template.load()["Parameters"]
    assert parameters.keys() == OTHER.keys()
    defaults = {name: str(parameter["Default"]) for name, parameter in parameters.items()} | BUFFERED
    assert [name for name in OTHER if OTHER[name] == defaults[name]] == []


@pytest.mark.parametrize("keeps_conditions", [False, True], ids=["conditions decided", "conditions kept"])
@pytest.mark.parametrize("parameter", OTHER)
def test_what_changes_in_a_function_is_published(parameter: str, keeps_conditions: bool) -> None:
    decided = _stacks(keeps_conditions=False)
    seen_by_sam = _stacks(keeps_conditions=keeps_conditions)
    for function in FUNCTIONS:
        before = _properties(decided[None], function, BUFFERED)
        after = _properties(decided[parameter], function, {**BUFFERED, parameter: OTHER[parameter]})
        is_published = version(seen_by_sam[None], function) != version(seen_by_sam[parameter], function)
        versioned = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - UNVERSIONED
        assert is_published == bool(versioned)
        assert is_published or before == after


@pytest.mark.parametrize("keeps_conditions", [False, True], ids=["conditions decided", "conditions kept"])
@pytest.mark.parametrize("parameter", OTHER)
def test_what_changes_in_the_api_is_deployed(parameter: str, keeps_conditions: bool) -> None:
    decided = _stacks(keeps_conditions=False)
    bodies = [decided[name]["Resources"]["Api"]["Properties"]["Body"] for name in (None, parameter)]
    seen_by_sam = _stacks(keeps_conditions=keeps_conditions)
    is_deployed = _deployment(seen_by_sam[None]) != _deployment(seen_by_sam[parameter])
    assert is_deployed == (bodies[0] != bodies[1])


def test_each_way_of_answering_is_told_apart() -> None:
    """The test above can fail: these parameters do change what runs, and the API."""
    stacks = _stacks(keeps_conditions=False)
    published = {
        name for name in OTHER if version(stacks[None], "ChatFunction") != version(stacks[name], "ChatFunction")
    }
    assert {"ResponseStreaming", "ExtendedTimeout", "SnapStart", "Architecture", "CacheTtlSeconds"} <= published
    deployed = {name for name in OTHER if _deployment(stacks[None]) != _deployment(stacks[name])}
    assert deployed == {"ResponseStreaming", "ExtendedTimeout"}
