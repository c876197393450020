"""The key schemas that the stores use are those that template.yaml deploys."""

from collections.abc import Mapping
from typing import Any

import pytest

from sluice.storage.tables import CONVERSATIONS, QUOTA, TABLES, KeySchema
from tools import template

_TYPES = {str: "S", int: "N"}


def _keys(definition: Mapping[str, Any]) -> KeySchema:
    names = {each["KeyType"]: each["AttributeName"] for each in definition["KeySchema"]}
    return KeySchema(names["HASH"], names.get("RANGE", ""))


def test_every_table_has_the_keys_the_indexes_and_the_expiry_that_are_deployed() -> None:
    deployed = template.tables(template.load())
    assert TABLES.keys() == deployed.keys()
    for variable, table in TABLES.items():
        definition = deployed[variable].definition
        assert KeySchema(table.partition, table.sort) == _keys(definition)
        assert table.ttl == (deployed[variable].ttl_attribute or "")
        indexes = {each["IndexName"]: _keys(each) for each in definition.get("GlobalSecondaryIndexes", [])}
        assert dict(table.indexes) == indexes


def test_a_key_has_the_types_that_are_deployed() -> None:
    for variable, table in template.tables(template.load()).items():
        types = {each["AttributeName"]: each["AttributeType"] for each in table.definition["AttributeDefinitions"]}
        schema = TABLES[variable]
        for each in (schema, *schema.indexes.values()):
            sort = {"": None, "S": "b", "N": 1}[types.get(each.sort, "")]
            key = each.key("a", sort)
            assert {name: next(iter(typed)) for name, typed in key.items()} == {name: types[name] for name in key}


def test_a_key_takes_a_sort_key_exactly_where_there_is_one() -> None:
    assert CONVERSATIONS.key("a", 0) == {"conversation": {"S": "a"}, "sequence": {"N": "0"}}
    with pytest.raises(ValueError, match="sequence"):
        CONVERSATIONS.key("a")
    with pytest.raises(ValueError, match="was given"):
        QUOTA.key("a", "b")
