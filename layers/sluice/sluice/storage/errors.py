"""What an AWS service answers when it does not do what it was asked.

Two of them are answers rather than failures, a false condition and a cancelled transaction: who sets conditions catches
them. All others are StorageUnavailableError, which becomes an HTTP answer by itself.
"""

from collections.abc import Mapping
from typing import Any

from sluice.errors import StorageUnavailableError
from sluice.loading.dataclass import dataclass

CONDITION_FAILED = "ConditionalCheckFailed"
TRANSACTION_CONFLICT = "TransactionConflict"


class ServiceError(StorageUnavailableError):
    """An AWS service refused a request, or gave no answer that can be read.

    `aws_code` is the name of its error, the HTTP status if it named none, and empty if there was no answer.
    `is_transient`: the same request may succeed later.
    """

    def __init__(self, message: str, *, aws_code: str = "", is_transient: bool = False) -> None:
        super().__init__(message)
        self.aws_code = aws_code
        self.is_transient = is_transient


class TransactionConflictError(ServiceError):
    """A transaction was under way on the item that a single write was for; nothing was written."""


class ConditionFailedError(Exception):
    """DynamoDB evaluated the condition of a write and found it false; nothing was written.

    `item` is the item as it is, in DynamoDB's typed form: if the request asked for it with
    `ReturnValuesOnConditionCheckFailure`, and if there is one.
    """

    def __init__(self, item: dict[str, Any] | None = None) -> None:
        super().__init__("the condition of a write is false")
        self.item = item


@dataclass(frozen=True, slots=True)
class CancellationReason:
    """Why DynamoDB did not carry out one request of a transaction; `code` is "None" if that one was not to blame."""

    code: str
    item: Mapping[str, Any] | None = None


class TransactionCancelledError(Exception):
    """DynamoDB carried out nothing of a transaction: a condition is false, or another one has an item in use.

    `reasons` are in the order of the transaction's requests.
    """

    def __init__(self, reasons: tuple[CancellationReason, ...]) -> None:
        super().__init__("a transaction was cancelled")
        self.reasons = reasons

    @property
    def codes(self) -> list[str]:
        """The code of each reason: "None", `CONDITION_FAILED`, `TRANSACTION_CONFLICT` or another."""
        return [reason.code for reason in self.reasons]
