"""Lines of batches as requests to the API: what answers them is what answers callers."""

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sluice.api.dispatch import Api, Request, StreamedResponse
from sluice.api.envelope import Response
from sluice.api.messages import Message, MessageHandler, message_handler
from sluice.api.route import Route
from sluice.batches.asking import LineAnswer
from sluice.batches.jobs import Jobs
from sluice.batches.line import BatchLine, body_of
from sluice.batches.messages import read_job, read_lines
from sluice.batches.worker import LineWorker
from sluice.chat import Usage, reasoning_tokens_in
from sluice.quota.leftover import leaving_free
from sluice.storage.metering import counting
from sluice.telemetry.request_ids import logging_request
from sluice.tenants.principal import Principal

if TYPE_CHECKING:
    from sluice.composition import App

_OURS = 500
_TOO_MANY_REQUESTS = 429
# Ten lines are asked at once, and each answer is in memory several times over while it is written down.
_MOST_ANSWER_BYTES = 6 * 1024 * 1024
# When to look again whether anybody can be asked.
_NOBODY_S = 60.0


class BatchLineApi:
    """Answers lines by the routes that take batches. Threads may share it."""

    def __init__(self, routes: Iterable[Route], app: "App") -> None:
        self._api = Api([route for route in routes if route.check], app)
        self._app = app

    def check(self, line: BatchLine, principal: Principal) -> int:
        """See LineApi.check."""
        return self._api.check(self._request(line, principal, math.inf))

    def longest_s(self, remaining_s: float) -> float:
        """See LineApi.longest_s."""
        return min(self._app.settings.request_timeout_s, remaining_s)

    def ask(self, line: BatchLine, principal: Principal, remaining_s: float = math.inf) -> LineAnswer:
        """See LineApi.ask."""
        request = self._request(line, principal, remaining_s)
        with (
            logging_request(request.id, ""),
            counting(request.units),
            leaving_free(self._app.settings.interactive_share_percent),
        ):
            response, trace = self._api.respond_and_tell(request)
        if isinstance(response, StreamedResponse):
            # Refused when the batch was checked.
            raise TypeError("a line of a batch is answered whole")
        record = trace.record()
        is_paid = bool(record.prompt_tokens or record.cost_nanousd)
        body = json.loads(response.body)
        usage = Usage.from_body(body)
        may_pass = response.status >= _OURS and response.headers.get("x-should-retry") != "false"
        return LineAnswer(
            status=int(response.status),
            request_id=request.id,
            body=body,
            # Of several calls some may have been paid for before there was no quota for the next: what is asked again
            # pays for them again, and may not for ever.
            retry_after_s=None
            if is_paid
            else _wait_s(response, was_asked=any(each.time_ms for each in record.attempts), may_pass=may_pass),
            may_pass=may_pass or (is_paid and response.status == _TOO_MANY_REQUESTS),
            prompt_tokens=record.prompt_tokens,
            completion_tokens=record.completion_tokens,
            # What Sluice's own cache answers has the details of the answer that it was, and no tokens.
            cached_prompt_tokens=min(usage.cached_prompt_tokens if usage else 0, record.prompt_tokens),
            reasoning_tokens=min(reasoning_tokens_in(body), record.completion_tokens),
            cost_nanousd=record.cost_nanousd + sum(each.cost_nanousd for each in record.guard_models),
        )

    def _request(self, line: BatchLine, principal: Principal, remaining_s: float) -> Request:
        return Request(
            method="POST",
            path=line.url,
            body=body_of(line),
            remaining_s=remaining_s,
            sender=principal,
            most_answer_bytes=_MOST_ANSWER_BYTES,
        )


def _wait_s(response: Response, *, was_asked: bool, may_pass: bool) -> float | None:
    """When to ask again what has nothing to do with the line: there is no quota now, or nobody could be asked.

    Where a provider was asked and failed, the line may be why, and may not be asked for ever.
    """
    wait = response.headers.get("retry-after")
    if response.status == _TOO_MANY_REQUESTS:
        return None if wait is None else float(wait)
    if was_asked or not may_pass:
        return None
    return _NOBODY_S if wait is None else float(wait)


def line_handler(routes: Iterable[Route], app: "App") -> MessageHandler:
    """The entry point of the function that asks lines."""
    worker = LineWorker(app.batch_stores, BatchLineApi(routes, app), app.batch_senders.find)

    def handle(message: Message) -> None:
        worker.work(read_lines(message.body), message.ends_at_s, is_last_try=message.is_last_try)

    return message_handler(handle)


def job_handler(routes: Iterable[Route], app: "App") -> MessageHandler:
    """The entry point of the function that splits, watches and closes batches."""
    jobs = Jobs(app.batch_stores, BatchLineApi(routes, app), app.batch_senders.find, app.webhook_announcer)
    return message_handler(lambda message: jobs.do(read_job(message.body)))
