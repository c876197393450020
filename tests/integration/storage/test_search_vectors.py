"""Vectors are searched through the same client, as DynamoDB's API has it, which boto3 of Lambda's runtime may not."""

import uuid

import pytest

from sluice.storage.client import DynamoDB
from sluice.storage.item_types import to_item
from sluice.storage.service_config import ServiceConfig
from tools.ministack import MiniStack


@pytest.fixture
def dynamodb(ministack: MiniStack) -> DynamoDB:
    return DynamoDB(ServiceConfig.from_environment("DYNAMODB", ministack.environment))


def test_the_nearest_of_some_vectors_are_found(dynamodb: DynamoDB) -> None:
    table = f"vectors-{uuid.uuid4().hex[:12]}"
    dynamodb.call(
        "CreateTable",
        {
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "VectorIndexes": [
                {
                    "IndexName": "by-meaning",
                    "VectorAttribute": {"AttributeName": "embedding"},
                    "Projection": {"ProjectionType": "ALL"},
                    "Dimensions": 2,
                    "DistanceFunction": "COSINE",
                }
            ],
        },
    )
    for name, embedding in {"east": [1, 0], "north": [0, 1], "northeast": [1, 1]}.items():
        dynamodb.call("PutItem", {"TableName": table, "Item": to_item({"id": name, "embedding": embedding})})
    wanted = [{"N": "1"}, {"N": "0.1"}]
    found = dynamodb.call(
        "SearchVectors", {"TableName": table, "IndexName": "by-meaning", "SearchVector": wanted, "TopK": 2}
    )
    assert [each["Item"]["id"]["S"] for each in found["SearchResults"]] == ["east", "northeast"]
