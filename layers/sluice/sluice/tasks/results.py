"""Results of each version of a task: sums per hour, and feedback. In the Usage table.

tenant_day                          hour_route              holds
task-results#<tenant>#<task>        <day>T<hour>#<version>  sums of an hour; kept for 400 days
task-results#<tenant>#<task>        comment#<request id>    what was said of an answer; kept for 30 days
task-request#<tenant>#<request id>  request                 which sum a request is part of, and whose; kept for 30 days

Whose a request is, is its API key's id and, where it named a user, a digest of that.

Records are sent once, as in usage/records.py: one may be missed, none is counted twice.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

from sluice.chat import JsonObject, Usage
from sluice.errors import NotFoundError
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import USAGE
from sluice.storage.update import Update
from sluice.tasks.answer import TaskComment, TaskVersionResults

_SUMS_KEPT = timedelta(days=400)
_REQUESTS_KEPT = timedelta(days=30)
_REQUEST = "request"
_COMMENT = "comment#"
# Hours begin with a digit: the character after the last one ends them.
_AFTER_HOURS = ":"
_MOST_COMMENTS = 100
_PAGE = 500
_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One run of a task for a `caller` (an API key) and its `user`, begun `started_s` seconds after the epoch."""

    tenant: str
    caller: str
    user: str | None
    task: str
    version: str
    request_id: str
    started_s: float

    @property
    def hour(self) -> str:
        """The hour whose sum it is part of, and the version."""
        return f"{datetime.fromtimestamp(self.started_s, UTC):%Y-%m-%dT%H}#{self.version}"


@dataclass(frozen=True, slots=True)
class RatedRequest:
    """The request that feedback is about, and the API key that gives it."""

    tenant: str
    caller: str
    request_id: str


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What a run came to. `quality` is its score from 0 to 1; None if the answer broke a rule, also when asked again.

    `usage` is what is known of it: what a broken answer took is with the caller's usage only.
    """

    run: TaskRun
    usage: Usage
    response_time_ms: int
    quality: float | None
    is_cache_hit: bool


class Results:
    """Reads and writes results. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, now: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._now = now
        self._client = client or dynamodb()

    def record(self, record: TaskRecord) -> None:
        """Add one run to its hour's sum."""
        run = record.run
        update = Update()
        update.add("requests", 1)
        update.add("failures", int(record.quality is None))
        update.add("prompt_tokens", record.usage.prompt_tokens)
        update.add("completion_tokens", record.usage.completion_tokens)
        update.add("response_time_ms", record.response_time_ms)
        update.add("quality_thousandths", round((record.quality or 0) * 1000))
        update.add("cache_hits", int(record.is_cache_hit))
        self._add(_results_key(run.tenant, run.task, run.hour), update)

    def remember(self, run: TaskRun) -> None:
        """Keep which sum a request is part of, so that feedback finds it."""
        item = {
            "task": run.task,
            "version": run.version,
            "hour": run.hour,
            "caller": run.caller,
            "expires_at": int((self._time() + _REQUESTS_KEPT).timestamp()),
        }
        if run.user is not None:
            item["user"] = digest(run.tenant, run.user)
        stored = _request_key(run.tenant, run.request_id) | to_item(item)
        self._client.call("PutItem", {"TableName": self._table, "Item": stored}, attempts=1)

    def rate(self, request: RatedRequest, score: int, comment: str | None) -> tuple[str, str]:
        """Add feedback to a caller's own request, or replace what was said; NotFoundError if there is none.

        Returns the task and the version that the request was for.
        """
        tenant, request_id = request.tenant, request.request_id
        update = Update()
        update.set("score", score)
        if comment is None:
            update.remove("comment")
        else:
            update.set("comment", comment)
        update.require("expires_at", ">", int(self._now()))
        # What Sluice 0.1 kept does not say whose it is.
        update.require_absent_or("caller", "=", request.caller)
        try:
            answer = self._update(_request_key(tenant, request_id), update, attempts=1, ReturnValues="ALL_OLD")
        except ConditionFailedError:
            raise NotFoundError(
                f"There is no task request {request_id[:64]!r} of the last 30 days.", param="request_id"
            ) from None
        rated = from_item(answer["Attributes"])
        # What was there before comes back with the write itself, so two at once can't both count as the first.
        before = rated.get("score")
        sums = Update()
        sums.add("feedbacks", int(before is None))
        sums.add("feedback_score", score - (before or 0))
        self._add(_results_key(tenant, rated["task"], rated["hour"]), sums)
        if comment is not None or "comment" in rated:
            self._comment(tenant, request_id, rated, score, comment)
        return rated["task"], rated["version"]

    def forget(self, tenant: str, user: str, task: str) -> int:
        """Delete what was said of a task's answers to a user, and return how much that was; scores stay in the sums.

        What is left of a comment after a crash is found by doing it again. Comments of Sluice 0.1 do not say whose they
        are, and go after their 30 days.
        """
        wanted, forgotten = digest(tenant, user), 0
        for item in list(self._query(tenant, task, _COMMENT, _COMMENT + "\U0010ffff")):
            if item.get("user") != wanted:
                continue
            request_id = str(item["hour_route"]).removeprefix(_COMMENT)
            update = Update()
            update.require("user", "=", wanted)
            update.remove("comment")
            update.remove("user")
            # It may have expired.
            with suppress(ConditionFailedError):
                self._update(_request_key(tenant, request_id), update)
            key = _results_key(tenant, task, item["hour_route"])
            self._client.call("DeleteItem", {"TableName": self._table, "Key": key})
            forgotten += "comment" in item
        return forgotten

    def by_version(self, tenant: str, task: str, days: int) -> list[TaskVersionResults]:
        """Sums of the last `days` days, today's included, one per version: a query of at most 24 items a day each."""
        first = f"{self._time() - timedelta(days=days - 1):%Y-%m-%d}"
        sums: dict[str, Counter[str]] = {}
        for item in self._query(tenant, task, first, _AFTER_HOURS):
            version = sums.setdefault(str(item["hour_route"]).partition("#")[2], Counter())
            version.update({name: value for name, value in item.items() if isinstance(value, int)})
        # Version 10 comes after version 9, and "shared", which has no number, before all.
        order = sorted(sums, key=lambda each: (each.isdigit(), len(each), each))
        return [_shown(version, sums[version]) for version in order]

    def comments(self, tenant: str, task: str) -> list[TaskComment]:
        """Some of what was said in the last 30 days: at most 100 comments, in no order."""
        items = islice(self._query(tenant, task, _COMMENT, _COMMENT + "\U0010ffff"), _MOST_COMMENTS)
        said = [item for item in items if "comment" in item and item["expires_at"] > self._now()]
        return [
            {
                "request_id": item["hour_route"].removeprefix(_COMMENT),
                "version": item["version"],
                "score": item["score"],
                "comment": item["comment"],
            }
            for item in said
        ]

    def _comment(self, tenant: str, request_id: str, rated: Item, score: int, comment: str | None) -> None:
        update = Update()
        update.set("version", rated["version"])
        update.set("score", score)
        update.set("expires_at", int((self._time() + _REQUESTS_KEPT).timestamp()))
        if "user" in rated:
            update.set("user", rated["user"])
        if comment is None:
            update.remove("comment")
        else:
            update.set("comment", comment)
        self._update(_results_key(tenant, rated["task"], _COMMENT + request_id), update)

    def _query(self, tenant: str, task: str, first: str, last: str) -> Iterator[Item]:
        values = {":task": _results_of(tenant, task), ":first": first, ":last": last}
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#task = :task AND #hour BETWEEN :first AND :last",
            "ExpressionAttributeNames": {"#task": USAGE.partition, "#hour": USAGE.sort},
            "ExpressionAttributeValues": to_item(values),
            "Limit": _PAGE,
        }
        return map(from_item, self._client.query(request))

    def _add(self, key: TypedItem, update: Update) -> None:
        update.set("expires_at", int((self._time() + _SUMS_KEPT).timestamp()))
        self._update(key, update, attempts=1)

    def _update(self, key: TypedItem, update: Update, *, attempts: int = 3, **more: str) -> JsonObject:
        request = {"TableName": self._table, "Key": key, **update.arguments(), **more}
        return self._client.call("UpdateItem", request, attempts=attempts)

    def _time(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def digest(tenant: str, user: str) -> str:
    """A user of a tenant, as results know it: its name may be somebody's address."""
    return hashlib.blake2b(f"{tenant}#{user}".encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


def _shown(version: str, sums: Counter[str]) -> TaskVersionResults:
    requests, feedbacks = sums["requests"], sums["feedbacks"]
    return {
        "version": version,
        "requests": requests,
        "failures": sums["failures"],
        "cache_hits": sums["cache_hits"],
        "prompt_tokens": sums["prompt_tokens"],
        "completion_tokens": sums["completion_tokens"],
        "total_tokens": sums["prompt_tokens"] + sums["completion_tokens"],
        "mean_response_time_ms": _mean(sums["response_time_ms"], requests),
        "mean_quality": _mean(sums["quality_thousandths"] / 1000, requests),
        "feedback": {"count": feedbacks, "mean_score": _mean(sums["feedback_score"], feedbacks)},
    }


def _mean(total: float, number: int) -> float | None:
    return round(total / number, 3) if number else None


def _results_of(tenant: str, task: str) -> str:
    return f"task-results#{tenant}#{task}"


def _results_key(tenant: str, task: str, hour: str) -> TypedItem:
    return USAGE.key(_results_of(tenant, task), hour)


def _request_key(tenant: str, request_id: str) -> TypedItem:
    return USAGE.key(f"task-request#{tenant}#{request_id}", _REQUEST)
