"""DynamoDB: any operation of its API, and what every store needs to speak through it."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.storage import metering
from sluice.storage.connections import Timeouts
from sluice.storage.errors import (
    CONDITION_FAILED,
    TRANSACTION_CONFLICT,
    CancellationReason,
    ConditionFailedError,
    ServiceError,
    TransactionCancelledError,
    TransactionConflictError,
)
from sluice.storage.item_types import TypedItem
from sluice.storage.json_service import JsonService, ServiceModel
from sluice.storage.service_config import ServiceConfig

_MODEL = ServiceModel("DynamoDB", "dynamodb", "DynamoDB_20120810", "1.0")
# SearchVectors has hosts of its own (IsSearchOperation in botocore's endpoint rules).
_SEARCH_OPERATION = "SearchVectors"
_SEARCH_HOST = "search-dynamodb"
_TRANSACTION = "TransactWriteItems"
_THROTTLED_REASONS = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})
# BatchGetItem takes so many keys.
_BATCH_SIZE = 100
_BATCH_PAUSE_S = 0.05
_LONGEST_BATCH_PAUSE_S = 1.0


class DynamoDB(JsonService):
    """A client of DynamoDB: one per process, which threads share.

    `call` also raises ConditionFailedError, TransactionCancelledError and, of single writes, TransactionConflictError.
    """

    def __init__(self, config: ServiceConfig, timeouts: Timeouts | None = None) -> None:
        super().__init__(_MODEL, config, timeouts or Timeouts())

    def call(
        self, operation: str, request: JsonObject, *, attempts: int = 3, timeout_s: float | None = None
    ) -> JsonObject:
        """As JsonService.call; ConditionFailedError and TransactionCancelledError are answers as well."""
        if operation == _TRANSACTION and "ClientRequestToken" not in request:
            # By this DynamoDB knows a transaction that reaches it twice, and carries it out once.
            request = {**request, "ClientRequestToken": secrets.token_hex(16)}
        asked = metering.asking(operation, request)
        try:
            answer = super().call(operation, asked, attempts=attempts, timeout_s=timeout_s)
        except ConditionFailedError as error:
            metering.refused(operation, error.item)
            raise
        except TransactionCancelledError:
            metering.refused(operation, None)
            raise
        metering.answered(operation, answer)
        return answer

    def query(self, request: JsonObject) -> Iterator[TypedItem]:
        """All items that a Query finds, page after page, as they are taken. Raises StorageUnavailableError."""
        while True:
            answer = self.call("Query", request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def read_all(self, table: str, keys: Sequence[TypedItem], *, consistently: bool = False) -> list[TypedItem]:
        """The items there are under `keys`, in no order: a hundred in one request. Raises StorageUnavailableError."""
        found: list[TypedItem] = []
        waiting = list(keys)
        pause_s = _BATCH_PAUSE_S
        while waiting:
            batch, waiting = waiting[:_BATCH_SIZE], waiting[_BATCH_SIZE:]
            asked = {table: {"Keys": batch, "ConsistentRead": consistently}}
            answer = self.call("BatchGetItem", {"RequestItems": asked})
            found += answer["Responses"].get(table, [])
            if left := answer.get("UnprocessedKeys", {}).get(table):
                # Throttled, or over 16 MB: what is left is asked for again, and in vain not for ever.
                if pause_s > _LONGEST_BATCH_PAUSE_S:
                    raise StorageUnavailableError(f"reading {table} failed: DynamoDB leaves out some of its items")
                time.sleep(pause_s)
                pause_s *= 2
                waiting = [*left["Keys"], *waiting]
        return found

    def _refusal(self, operation: str, code: str, fields: dict[str, Any], *, is_transient: bool) -> Exception:
        match code:
            case "ConditionalCheckFailedException":
                return ConditionFailedError(fields.get("Item"))
            case "TransactionConflictException":
                return TransactionConflictError(self._failure(operation, code), aws_code=code)
            case "TransactionCanceledException":
                return self._cancellation(operation, code, fields.get("CancellationReasons") or [])
            case _:
                return super()._refusal(operation, code, fields, is_transient=is_transient)

    def _cancellation(self, operation: str, code: str, listed: Sequence[Mapping[str, Any]]) -> Exception:
        reasons = tuple(CancellationReason(str(each.get("Code")), each.get("Item")) for each in listed)
        codes = {reason.code for reason in reasons}
        if codes & {CONDITION_FAILED, TRANSACTION_CONFLICT}:
            return TransactionCancelledError(reasons)
        named = ", ".join(sorted(codes - {"None"})) or code
        return ServiceError(
            self._failure(operation, named), aws_code=code, is_transient=not codes.isdisjoint(_THROTTLED_REASONS)
        )

    def _host(self, operation: str) -> str:
        return _SEARCH_HOST if operation == _SEARCH_OPERATION else super()._host(operation)

    def _is_repeatable(self, operation: str) -> bool:
        return operation == _TRANSACTION or super()._is_repeatable(operation)


def dynamodb() -> DynamoDB:
    """A client as the environment says now, with connections of its own. A process needs one: see composition.App."""
    return DynamoDB(ServiceConfig.from_environment("DYNAMODB"))
