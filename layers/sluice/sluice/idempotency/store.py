"""Keeps answers under idempotency keys in DynamoDB, beside those of the cache.

key                               holds
idempotency#<tenant>#<SHA-256>    while a request is under way, its claim: `claimed_by`, the `fingerprint` of the
                                  request, when it began and `expires_at`; then its answer too, `head` and `answer`,
                                  for a day. Of an answer that is too large there is the `head` alone

A key is claimed by one conditional write, and its answer put there by another, for which the claim has to be there
still. A process that dies leaves a claim that runs out.
"""

import math
import time
from collections.abc import Callable

from aws_lambda_powertools import Logger

from sluice.errors import KeptAnswerTooLargeError, KeyReusedError, RequestUnderWayError
from sluice.idempotency.answer import AnswerHead, unpacked
from sluice.idempotency.key import HEADER, retry_after_s
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import RESPONSE_CACHE
from sluice.telemetry.metrics import emit_metric

KEPT_S = 86_400
"""How long an answer is kept."""

logger = Logger(child=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that wants to be the one that is answered under `key`, a partition key."""

    key: str
    fingerprint: str
    request_id: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that was given before: its JSON texts, one of a whole answer and each event of a stream."""

    head: AnswerHead
    lines: list[bytes]


class IdempotencyStore:
    """Kept answers of one table. Threads may share it. `clock` gives seconds since the epoch, UTC.

    All methods raise StorageUnavailableError when DynamoDB does not answer.
    """

    def __init__(self, table: str, clock: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._clock = clock
        self._client = client or dynamodb()

    def claim(self, claim: Claim, lasts_s: float) -> KeptAnswer | None:
        """Claim a key for `lasts_s` seconds, in one write: None if that succeeded, or the answer that it has already.

        Raises RequestUnderWayError while another request has the claim, KeyReusedError if the key is that of another
        request, KeptAnswerTooLargeError.
        """
        now_s = self._clock()
        values = {
            "fingerprint": claim.fingerprint,
            "claimed_by": claim.request_id,
            "began_at": now_s,
            "expires_at": math.ceil(now_s + lasts_s),
        }
        request = {
            "TableName": self._table,
            "Item": RESPONSE_CACHE.key(claim.key) | to_item(values),
            "ConditionExpression": "attribute_not_exists(#key) OR #expires_at <= :now",
            "ExpressionAttributeNames": {"#key": RESPONSE_CACHE.partition, "#expires_at": RESPONSE_CACHE.ttl},
            "ExpressionAttributeValues": to_item({":now": int(now_s)}),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            self._client.call("PutItem", request)
        except ConditionFailedError as error:
            found = from_item(error.item or {})
        else:
            return None
        # Sent again after its answer was lost, a claim finds itself.
        return None if _is_its_own(found, claim) else _answer(found, claim, now_s)

    def keep(self, claim: Claim, head: AnswerHead, answer: bytes | None) -> bool:
        """Keep the answer of a claimed key for a day; None is one that is too large. False if the claim was lost."""
        values: Item = {
            "fingerprint": claim.fingerprint,
            "claimed_by": claim.request_id,
            "head": head.to_json(),
            "expires_at": math.ceil(self._clock() + KEPT_S),
        }
        if answer is not None:
            values["answer"] = answer
        request = {
            "TableName": self._table,
            "Item": RESPONSE_CACHE.key(claim.key) | to_item(values),
            **_if_claimed_by(claim.request_id),
        }
        try:
            self._client.call("PutItem", request)
        except ConditionFailedError:
            # It ran out and is another request's, or a user's data was deleted.
            logger.warning("answer not kept: its claim was lost", extra={"request_id": claim.request_id})
            emit_metric("IdempotencyClaimLost")
            return False
        return True

    def release(self, key: str, request_id: str) -> bool:
        """Remove what a request has under a key, a claim or an answer. False if it has nothing there."""
        request = {"TableName": self._table, "Key": RESPONSE_CACHE.key(key), **_if_claimed_by(request_id)}
        try:
            self._client.call("DeleteItem", request)
        except ConditionFailedError:
            return False
        return True


def _if_claimed_by(request_id: str) -> dict[str, object]:
    return {
        "ConditionExpression": "#claimed_by = :request",
        "ExpressionAttributeNames": {"#claimed_by": "claimed_by"},
        "ExpressionAttributeValues": to_item({":request": request_id}),
    }


def _is_its_own(found: Item, claim: Claim) -> bool:
    return found.get("claimed_by") == claim.request_id and "head" not in found


def _answer(found: Item, claim: Claim, now_s: float) -> KeptAnswer:
    if found and found["fingerprint"] != claim.fingerprint:
        raise KeyReusedError(
            "This Idempotency-Key was used within a day, with another path, body or x-sluice-* header. "
            "A new request takes a new key.",
            param=HEADER,
        )
    if "head" not in found:
        # Empty if it was released at this moment.
        began_s, ends_s = found.get("began_at", now_s), found.get("expires_at", now_s)
        raise RequestUnderWayError(
            "The first request with this Idempotency-Key is being answered. Send this one again later for its answer.",
            param=HEADER,
            retry_after_s=retry_after_s(began_s, ends_s, now_s),
        )
    if "answer" not in found:
        raise KeptAnswerTooLargeError(
            "The first request with this Idempotency-Key was answered, and its answer was too large to be kept. "
            "Use another key to ask anew.",
            param=HEADER,
        )
    return KeptAnswer(AnswerHead.from_json(found["head"]), unpacked(found["answer"]))
