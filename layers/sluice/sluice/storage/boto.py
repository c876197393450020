"""boto3's DynamoDB client, for the circuit breaker of Powertools, which knows no other."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONNECT_TIMEOUT_S = 1
_READ_TIMEOUT_S = 2
_ATTEMPTS = 3
# One request of Sluice sends at most four at a time; a local stack serves many requests from one process.
_POOL_SIZE = 64
_USER_AGENT = "sluice"


def boto3_dynamodb() -> "DynamoDBClient":
    """A client, as the environment says."""
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_POOL_SIZE,
        # botocore puts its own together anew for each request, an eighth of what the request costs in CPU.
        user_agent=_USER_AGENT,
    )
    return boto3.client("dynamodb", config=config)
