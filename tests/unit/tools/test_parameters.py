import re

import pytest

from tools import parameters, template
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
        ("CacheTtlSeconds=0", "must be at least 1, got 0"),
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
    ],
)
def test_the_template_s_rules_are_known_before_anything_is_built(
    region: str, given: dict[str, str], reasons: list[str]
) -> None:
    values = {name: str(parameter["Default"]) for name, parameter in DECLARED.items()} | given
    refused = parameters.refusals(template.load(), values, region)
    assert len(refused) == len(reasons)
    assert all(reason in text for reason, text in zip(reasons, refused, strict=True))
