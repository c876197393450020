"""Requests with an idempotency key: the first is answered, and its answer is what the others get.

Only answers are kept, and refusals that a model was paid for: whatever else a request fails with leaves the key free,
so that the same request may be sent again.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from sluice.api import sse
from sluice.api.dispatch import IDEMPOTENCY_KEY, Request, StreamedResponse
from sluice.api.envelope import Response, to_json
from sluice.api.route import Call, EventStream, Route
from sluice.errors import InvalidAnswerError, ReplayedError, SluiceError
from sluice.gateway.provenance import Provenance, request_id_headers
from sluice.idempotency.answer import AnswerHead, AnswerPacker, KeptError
from sluice.idempotency.key import SentRequest, fingerprint, partition_key
from sluice.idempotency.store import Claim, IdempotencyStore, KeptAnswer
from sluice.loading.dataclass import dataclass
from sluice.request_log.record import RequestOutcome
from sluice.request_log.trace import RequestTrace, Settled
from sluice.routing.deadline import Deadline
from sluice.storage.time_limit import within
from sluice.telemetry.best_effort import best_effort

REPLAYED = "idempotent-replayed"
"""As Stripe's API names it."""
FIRST_REQUEST_ID = "x-sluice-first-request-id"
REPLAY = "replay"
"""In the place of `hit` or `miss`, in the request log."""

# What a request that ran into its deadline has to be settled in: after that a claim is nobody's.
_CLAIMED_AFTER_DEADLINE_S = 10
# Of the request that was answered first, and not of the one that its answer is replayed for.
_NOT_REPLAYED = ("x-sluice-request-id", "x-request-id", "x-ratelimit-")
_COSTS = ("x-sluice-cost-usd", "x-sluice-guard-cost-usd")
# Refusals that pass.
_CONFLICT, _TOO_MANY_REQUESTS = 409, 429

type Answer = Response | StreamedResponse


def answer_once(
    route: Route, request: Request, call: Call[Any, Any], answer: Callable[[Call[Any, Any]], Answer]
) -> Answer:
    """What `answer` gives, or what it gave to the first request with this key.

    Raises RequestUnderWayError while that is being answered, KeyReusedError if it was another request, SluiceError.
    """
    principal, app = call.principal, call.app
    is_counted = route.is_counted_at_the_door
    if not is_counted:
        # Whom this process knows to be out of requests costs no digest of a large body, and no write.
        app.caller_counter.check(principal, "")
    claim = Claim(
        key=partition_key(principal.tenant.id, principal.caller_id, request.headers[IDEMPOTENCY_KEY]),
        fingerprint=fingerprint(_sent(route, request, call)),
        request_id=request.id,
    )
    work = _Work(app.idempotency, claim, call.trace, call.deadline, route.is_counted_inside)
    lasts_s = max(0.0, call.deadline.over_s - time.monotonic()) + _CLAIMED_AFTER_DEADLINE_S
    try:
        kept = app.idempotency.claim(claim, lasts_s)
    except SluiceError as refused:
        if not is_counted and refused.status < 500:
            app.caller_counter.count(principal)
        raise
    if kept is None:
        call.trace.idempotency_key = claim.key
        return work.kept(partial(answer, replace(call, idempotency_key=f"{claim.key}#{claim.fingerprint}")))
    headers = {} if is_counted else app.caller_counter.count(principal).limit.headers()
    return _replayed(route, kept, headers, call)


def _sent(route: Route, request: Request, call: Call[Any, Any]) -> SentRequest:
    body = request.body or b""
    labels = call.labels
    return SentRequest(
        route=route.id,
        path=call.path,
        body=body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body,
        labels=(labels.user, labels.task, labels.conversation_id),
        skips_cache=call.skips_cache,
        no_store=call.no_store,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """A claimed request that is being answered."""

    store: IdempotencyStore
    claim: Claim
    trace: RequestTrace
    deadline: Deadline
    asks_several: bool

    def kept(self, answer: Callable[[], Answer]) -> Answer:
        """What `answer` gives, kept. A stream is kept when it has ended."""
        try:
            given = answer()
        except Exception as error:
            self.end(AnswerPacker(), self.head({}), error)
            raise
        if isinstance(given, StreamedResponse):
            stream = _KeptStream(self, given)
            return replace(given, events=replace(given.events, values=stream.values(), close=stream.close))
        packer = AnswerPacker()
        packer.add(given.body)
        self.end(packer, self.head(given.headers), None)
        return given

    def end(self, packer: AnswerPacker, head: AnswerHead, error: Exception | None) -> None:
        """Keep what was answered, with the `error` it ended with, or release the key. What fails is survived."""
        with within(self.deadline.settled_at_s()), best_effort("keeping an answer for its idempotency key"):
            if not self._is_worth_keeping(error):
                self.store.release(self.claim.key, self.claim.request_id)
                return
            self.store.keep(self.claim, replace(head, error=_kept_error(error)), packer.packed())

    def _is_worth_keeping(self, error: Exception | None) -> bool:
        """Whether asking again would only pay again, or make another batch."""
        if error is not None:
            return isinstance(error, SluiceError) and _is_final(error, self.trace)
        # Of several questions in one request all may have failed, each in its place.
        return not self.asks_several or self.trace.has_answer

    def head(self, headers: Mapping[str, str], *, is_streamed: bool = False) -> AnswerHead:
        """What is kept beside the answer that has these headers."""
        shown = {name: text for name, text in headers.items() if not name.startswith(_NOT_REPLAYED)}
        return AnswerHead(request_id=self.claim.request_id, headers=shown, is_streamed=is_streamed)


class _KeptStream:
    """A streamed answer that is kept when it has ended: its caller may hang up, and ask for it once more."""

    def __init__(self, work: _Work, response: StreamedResponse) -> None:
        self._work = work
        self._events = response.events
        self._source = iter(response.events.values)
        self._head = work.head(response.headers, is_streamed=True)
        self._packer = AnswerPacker()
        self._is_over = False

    def values(self) -> Iterator[Any]:
        """The events. What follows the last of them is not sent before they are kept; the rest may be read later."""
        while True:
            try:
                value = next(self._source)
            except StopIteration:
                self._end(None)
                return
            except Exception as error:
                self._end(error)
                raise
            self._packer.add(to_json(value))
            yield value

    def close(self) -> None:
        """Read what the caller did not wait for: it is paid for, and asked for again with the same key."""
        try:
            if not self._is_over:
                # What it fails with becomes an event that nobody reads, and a line in the log.
                for _ in sse.encoded(self.values(), self._work.claim.request_id, sse.StreamFormat()):
                    pass
        finally:
            self._events.close()

    def _end(self, error: Exception | None) -> None:
        self._is_over = True
        self._work.end(self._packer, self._head, error)


def _is_final(error: SluiceError, trace: RequestTrace) -> bool:
    """Whether a model was paid for, and what it answered can't be shown."""
    is_refusal = 400 <= error.status < 500 and error.status not in {_CONFLICT, _TOO_MANY_REQUESTS}
    return trace.has_paid and (is_refusal or isinstance(error, InvalidAnswerError))


def _kept_error(error: Exception | None) -> KeptError | None:
    if not isinstance(error, SluiceError):
        return None
    return KeptError(status=error.status, message=error.message, type=error.type, param=error.param, code=error.code)


def _replayed(route: Route, kept: KeptAnswer, counted: dict[str, str], call: Call[Any, Any]) -> Answer:
    """The answer that was kept. Raises ReplayedError if it was an error."""
    head, trace, request_id = kept.head, call.trace, call.request_id
    trace.settle(Settled(outcome=RequestOutcome.ANSWERED, complexity="", cache=REPLAY))
    trace.is_streamed = head.is_streamed
    free = {name: "0" for name in _COSTS if name in head.headers}
    marks = {REPLAYED: "true", FIRST_REQUEST_ID: head.request_id}
    headers = {**head.headers, **free, **counted, **request_id_headers(request_id), **marks}
    error = None
    if head.error is not None:
        error = ReplayedError(**asdict(head.error))
        error.replay_headers = {**counted, **marks}
    if head.is_streamed:
        events = EventStream(_events(kept.lines, error), Provenance(request_id=request_id))
        return StreamedResponse(headers, events, request_id, route.stream_format())
    if error is not None:
        raise error
    return Response(HTTPStatus.OK, headers, kept.lines[0])


def _events(lines: list[bytes], error: ReplayedError | None) -> Iterator[Any]:
    yield from (json.loads(line) for line in lines)
    if error is not None:
        raise error
