import re

import pytest

from tools import deployment, parameters, template
from tools.parameters import ParameterError

DECLARED = template.load()["Parameters"]


def test_parameters_are_read_as_a_shell_would() -> None:
    given = parameters.parse("CacheTtlSeconds=60 DomainName='llm.example.com' AlarmTopicArn=", DECLARED)
    assert given == {"CacheTtlSeconds": "60", "DomainName": "llm.example.com", "AlarmTopicArn": ""}
    assert parameters.parse("", DECLARED) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CacheTtlSeconds", "is written Name=value, got 'CacheTtlSeconds'"),
        ("CacheTTLSecond=60", "no parameter CacheTTLSecond; did you mean CacheTtlSeconds?"),
        ("Zebra=1", "no parameter Zebra; docs/parameters.md has all of them"),
        ("Architecture=sparc", "must be one of arm64, x86_64, got 'sparc'"),
        ("CacheTtlSeconds=an-hour", "must be a number, got 'an-hour'"),
        ("CacheTtlSeconds=-1", "must be at least 0, got -1"),
        ("CacheTtlSeconds=nan", "must be a number, got 'nan'"),
        ("MaxRetries=1e999", "must be a number, got '1e999'"),
        ("CircuitFailures=0", "must be at least 1, got 0"),
        ("CircuitSuccesses=", "must be a number, got ''"),
        ("ConversationMessages=101", "must be at most 100, got 101"),
        ("DefaultTemperature=2.5", "DefaultTemperature must match"),
        ("RoutingEnabled=off", "must be one of true, false, got 'off'"),
        ("GuardMode=none", "must be one of block, flag, off, got 'none'"),
        ("RequestTimeoutSeconds=900", "must be at most 890, got 900"),
        ("AlarmTopicArn=on-call", "AlarmTopicArn must match"),
        ("LogRetentionDays=2", "must be one of 1, 3, 5"),
    ],
)
def test_what_the_template_does_not_take_is_refused_with_what_it_does(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        parameters.parse(text, DECLARED)


@pytest.mark.parametrize(
    ("region", "given", "reasons"),
    [
        ("eu-central-1", {}, []),
        ("cn-north-1", {}, ["ResponseStreaming=false"]),
        ("cn-north-1", {"ResponseStreaming": "false"}, []),
        ("us-gov-west-1", {"SnapStart": "true"}, ["ResponseStreaming=false", "SnapStart=false"]),
        ("eu-central-1", {"DomainName": "llm.example.com"}, ["DomainName takes a CertificateArn"]),
        ("eu-central-1", {"HostedZoneId": "Z1"}, ["take a DomainName"]),
        ("eu-central-1", {"MaxRetries": "1.5"}, ["MaxRetries must be a whole number from 0 to 10, got '1.5'"]),
        ("eu-central-1", {"RequestTimeoutSeconds": "1.5", "SmartModelMaxPercent": "12.5"}, []),
    ],
)
def test_the_template_s_rules_are_known_before_anything_is_built(
    region: str, given: dict[str, str], reasons: list[str]
) -> None:
    values = {name: str(parameter["Default"]) for name, parameter in DECLARED.items()} | given
    refused = parameters.refusals(template.load(), values, region)
    assert len(refused) == len(reasons)
    assert all(reason in text for reason, text in zip(reasons, refused, strict=True))


LOGINS = "JwtIssuer=http://localhost:8090/realms/school JwtAudience=llm JwtTenantClaim=org JwtRoleClaim=groups"


def test_what_functions_are_told_can_be_tried_on_this_machine() -> None:
    text = f"{LOGINS} JwtRoles='Head teachers=operator,platform=admin' CacheTtlSeconds=60"
    given = parameters.parse_for_this_machine(text, template.load())
    assert given["JwtRoles"] == "Head teachers=operator,platform=admin"
    assert given["CacheTtlSeconds"] == "60"
    assert deployment.parameter_overrides(given)[-2:] == [
        "JwtRoles='Head teachers=operator,platform=admin'",
        "CacheTtlSeconds=60",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ResponseStreaming=true", "ResponseStreaming means nothing on this machine"),
        ("DomainName=llm.example.com AlarmTopicArn=", "DomainName, AlarmTopicArn means nothing"),
        ("CacheTtl=60", "did you mean CacheTtlSeconds?"),
        ("JwtIssuer=http://login.example.com", "JwtIssuer must match"),
        ("JwtIssuer=https://login.example.com", "JwtIssuer takes a JwtAudience"),
        (f"{LOGINS} JwtRoles=teachers=owner", "JwtRoles must match"),
    ],
)
def test_what_can_t_be_tried_on_this_machine_is_refused_before_anything_is_built(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        parameters.parse_for_this_machine(text, template.load())
