"""The tables and secrets of template.yaml, and what happens to them when it changes or goes."""

import string
from typing import Any

import pytest

from tests.transformed import of_type, resources
from tools import template

TABLES = list(of_type("AWS::DynamoDB::Table"))
LASTING = ["DirectoryTable", "UsageTable", "ConversationsTable", "QuestionsTable", "StoresTable"]
FOR_GOOD = ["VectorsTable"]
"""What is deleted with its document, and not by its age."""


def _recovery(table: str, **parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = resources(**parameters)[table]["Properties"]["PointInTimeRecoverySpecification"]
    return found


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_on_demand_and_encrypted_for_nothing(name: str) -> None:
    properties = resources()[name]["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    # DynamoDB encrypts every table; saying so would choose a key that is paid for.
    assert "SSESpecification" not in properties


@pytest.mark.parametrize("name", LASTING)
def test_what_cannot_be_made_again_is_protected_recoverable_and_kept(name: str) -> None:
    table = resources()[name]
    assert table["Properties"]["DeletionProtectionEnabled"] == "true"
    assert _recovery(name) == {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": "35"}
    # RetainExceptOnCreate would be stuck at a protected table when a creation is rolled back.
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("name", LASTING)
def test_a_stack_to_throw_away_protects_and_backs_up_nothing(name: str) -> None:
    protection = resources(DeletionProtection="false")[name]["Properties"]["DeletionProtectionEnabled"]
    assert protection == "false"
    assert _recovery(name, RecoveryDays="7")["RecoveryPeriodInDays"] == "7"
    assert _recovery(name, RecoveryDays="0") == {"PointInTimeRecoveryEnabled": False}


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(LASTING) - set(FOR_GOOD)))
def test_what_can_be_made_again_expires_and_goes_with_the_stack(name: str) -> None:
    table = resources()[name]
    assert table["Properties"]["TimeToLiveSpecification"]["Enabled"] is True
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")
    assert "DeletionProtectionEnabled" not in table["Properties"]


@pytest.mark.parametrize("name", TABLES)
def test_throughput_is_bounded_only_if_asked_for_and_for_indexes_too(name: str) -> None:
    def bounds(**parameters: str) -> list[Any]:
        properties = resources(**parameters)[name]["Properties"]
        return [
            each.get("OnDemandThroughput")
            for each in [properties, *properties.get("GlobalSecondaryIndexes", [])]
            if each.get("OnDemandThroughput") is not None
        ]

    assert bounds() == []
    indexes = len(resources()[name]["Properties"].get("GlobalSecondaryIndexes", []))
    assert bounds(MaxReadRequestUnits="50") == [{"MaxReadRequestUnits": "50"}] * (1 + indexes)
    both = bounds(MaxReadRequestUnits="50", MaxWriteRequestUnits="60")
    assert both == [{"MaxReadRequestUnits": "50", "MaxWriteRequestUnits": "60"}] * (1 + indexes)


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


def test_nothing_waits_for_what_a_condition_may_leave_out() -> None:
    source = template.read()["Resources"]
    written = {name for name, resource in source.items() if isinstance(resource, dict) and "Condition" in resource}
    # What SAM and loops make has a name of its own.
    [made] = template.transform(template.read(), [template.Run(keeps_conditions=True)])
    conditional = written | {name for name, resource in made["Resources"].items() if "Condition" in resource}
    assert conditional
    named = {
        (name, dependency)
        for name, resource in made["Resources"].items()
        for dependency in ([resource["DependsOn"]] if isinstance(resource.get("DependsOn"), str) else [])
        + (resource["DependsOn"] if isinstance(resource.get("DependsOn"), list) else [])
    }
    assert [pair for pair in named if pair[1] in conditional] == []
