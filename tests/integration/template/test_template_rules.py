"""What template.yaml refuses before anything is made: a stack operation evaluates its Rules."""

import json
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from tools import template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef

pytestmark = pytest.mark.usefixtures("ministack")
ISSUER = "https://login.example.com"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b"
REFUSED = [
    ("cn-north-1", {}, "ResponseStreaming=false"),
    ("us-gov-west-1", {}, "ResponseStreaming=false"),
    ("me-south-1", {}, "ResponseStreaming=false"),
    ("ap-southeast-6", {"SnapStart": "true"}, "SnapStart=false"),
    ("us-gov-east-1", {"SnapStart": "true", "ResponseStreaming": "false"}, "SnapStart=false"),
    ("us-east-1", {"DomainName": "llm.example.com"}, "DomainName takes a CertificateArn"),
    ("us-east-1", {"CertificateArn": CERTIFICATE}, "take a DomainName"),
    ("us-east-1", {"HostedZoneId": "Z123"}, "take a DomainName"),
    ("us-east-1", {"JwtIssuer": ISSUER, "JwtDefaultTenant": "school"}, "JwtIssuer takes a JwtAudience"),
    ("us-east-1", {"JwtIssuer": ISSUER, "JwtAudience": "llm"}, "takes a JwtTenantClaim or a JwtDefaultTenant"),
    ("us-east-1", {"JwtTenants": "a=b"}, "JwtTenants takes a JwtTenantClaim"),
    ("us-east-1", {"JwtRoles": "teachers=operator"}, "JwtRoles takes a JwtRoleClaim"),
]
TAKEN = [
    ("us-east-1", {}),
    ("eu-central-1", {"SnapStart": "true", "DomainName": "llm.example.com", "CertificateArn": CERTIFICATE}),
    ("us-east-1", {"JwtIssuer": ISSUER, "JwtAudience": "llm", "JwtDefaultTenant": "school"}),
    ("us-east-1", {"JwtIssuer": ISSUER, "JwtAudience": "llm", "JwtTenantClaim": "org", "JwtTenants": "x.org=x"}),
    ("cn-north-1", {"ResponseStreaming": "false"}),
    ("us-gov-west-1", {"ResponseStreaming": "false"}),
]


def create(region: str, parameters: dict[str, str]) -> None:
    """Ask for a stack with template.yaml's parameters and rules, and a queue in place of everything else."""
    source = template.load()
    body = {
        "Parameters": source["Parameters"],
        "Rules": source["Rules"],
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
    }
    given: list[ParameterTypeDef] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
    ]
    cloudformation = boto3.client("cloudformation", region_name=region)
    name = f"rules-{abs(hash((region, *parameters.items())))}"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(body), Parameters=given)
    cloudformation.delete_stack(StackName=name)


@pytest.mark.parametrize(("region", "parameters", "reason"), REFUSED)
def test_what_a_region_or_another_parameter_does_not_allow_is_refused_with_what_to_do(
    region: str, parameters: dict[str, str], reason: str
) -> None:
    with pytest.raises(ClientError, match=reason):
        create(region, parameters)


@pytest.mark.parametrize(("region", "parameters"), TAKEN)
def test_what_is_allowed_is_made(region: str, parameters: dict[str, str]) -> None:
    create(region, parameters)
