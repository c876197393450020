"""The one boto3 DynamoDB client and what every store needs to speak through it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sluice.errors import StorageUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

type Item = dict[str, Any]
"""An item as Python values: str, int, float, bytes, list, dict."""

_CONNECT_TIMEOUT_S = 1
_READ_TIMEOUT_S = 2
# One request of Sluice sends at most four at a time; a local stack serves many requests from one process.
_POOL_SIZE = 64
_USER_AGENT = "sluice"
# BatchGetItem takes so many keys.
_BATCH_SIZE = 100
_BATCH_PAUSE_S = 0.05
_LONGEST_BATCH_PAUSE_S = 1.0


@cache
def dynamodb(*, attempts: int = 3) -> "DynamoDBClient":
    """The client of this process. Ask for `attempts=1` where sending something twice would count it twice."""
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=_POOL_SIZE,
        # botocore puts its own together anew for each request, an eighth of what the request costs in CPU.
        user_agent=_USER_AGENT,
    )
    return boto3.client("dynamodb", config=config)


@contextmanager
def storage_errors(action: str) -> Iterator[None]:
    """Turn botocore's errors into StorageUnavailableError, but for a failed condition, which is an answer."""
    try:
        yield
    except ClientError as error:
        if is_condition_failure(error):
            raise
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise StorageUnavailableError(f"{action} failed: {code}") from error
    except BotoCoreError as error:
        raise StorageUnavailableError(f"{action} failed: {type(error).__name__}") from error


def is_condition_failure(error: ClientError) -> bool:
    """Whether DynamoDB evaluated the condition of a write and found it false."""
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


def query(table: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """All items that a Query finds, in DynamoDB's typed form, page after page."""
    start: dict[str, Any] = {}
    while True:
        answer = dynamodb().query(TableName=table, **arguments, **start)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def read_all(table: str, keys: Sequence[Mapping[str, Any]], *, consistently: bool = False) -> list[dict[str, Any]]:
    """The items there are under `keys`, in no order, in DynamoDB's typed form: a hundred in one request."""
    found: list[dict[str, Any]] = []
    waiting = list(keys)
    pause_s = _BATCH_PAUSE_S
    while waiting:
        batch, waiting = waiting[:_BATCH_SIZE], waiting[_BATCH_SIZE:]
        asked: dict[str, Any] = {table: {"Keys": batch, "ConsistentRead": consistently}}
        answer = dynamodb().batch_get_item(RequestItems=asked)
        found += answer["Responses"].get(table, [])
        if left := answer.get("UnprocessedKeys", {}).get(table):
            # Throttled, or over 16 MB: what is left is asked for again, and in vain not for ever.
            if pause_s > _LONGEST_BATCH_PAUSE_S:
                raise StorageUnavailableError(f"reading {table} failed: DynamoDB leaves out some of its items")
            time.sleep(pause_s)
            pause_s *= 2
            waiting = [*left["Keys"], *waiting]
    return found


_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python values to DynamoDB's typed form. Numbers must be int or Decimal."""
    return {key: _serializer.serialize(value) for key, value in values.items()}


def from_item(item: Mapping[str, Any]) -> Item:
    """DynamoDB's typed form to Python values; whole numbers become int, others float, binaries bytes."""
    return {key: _plain(_deserializer.deserialize(value)) for key, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return bytes(value) if hasattr(value, "value") else value
