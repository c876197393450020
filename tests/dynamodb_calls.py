"""What the package asks DynamoDB for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sluice.chat import JsonObject
from sluice.storage.client import DynamoDB


@contextmanager
def counting() -> Iterator[list[str]]:
    """The operations that all clients of the package are asked for meanwhile."""
    asked: list[str] = []
    call = DynamoDB.call

    def noted(client: DynamoDB, operation: str, request: JsonObject, **more: Any) -> JsonObject:
        asked.append(operation)
        return call(client, operation, request, **more)

    with mock.patch.object(DynamoDB, "call", noted):
        yield asked
