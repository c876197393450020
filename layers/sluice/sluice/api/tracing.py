"""The trace of a request at the edge: begun when its caller is known, ended when its answer is on its way."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluice.api.envelope import status_of
from sluice.api.route import EventStream, Route
from sluice.catalog.money import to_usd
from sluice.errors import GuardBlockedError, GuardUnavailableError, SluiceError
from sluice.request_log.line import fields_of, metrics_of
from sluice.request_log.reasons import code_of, reason_of
from sluice.request_log.trace import RequestTrace
from sluice.routing.deadline import Deadline
from sluice.storage.time_limit import within
from sluice.telemetry.metrics import write_line
from sluice.tenants.principal import Principal

INFRA_COST_HEADER = "x-sluice-infra-cost-usd"

if TYPE_CHECKING:
    from sluice.api.dispatch import Request
    from sluice.composition import App


class TracedRequest:
    """One request and its trace. Only what asks a model, or would have, has a record in the end."""

    def __init__(self, app: "App", request: "Request", deadline: Deadline) -> None:
        self.trace = RequestTrace(request_id=request.id, api_request_id=request.api_id, units=request.units)
        self._app = app
        self._deadline = deadline
        self._headers = request.headers
        self._fields: frozenset[str] = frozenset()
        self.is_traced = False
        self._is_ended = False

    def begin(self, route: Route, principal: Principal) -> None:
        """Note who asks for what."""
        trace = self.trace
        trace.route, trace.tenant, trace.caller = route.id, principal.tenant.id, principal.caller_id
        trace.asks_once = route.asks_once
        self._fields = frozenset(getattr(route.body, "model_fields", ()))
        self.is_traced = route.is_recorded
        if self.is_traced and self._app.settings.request_log_table:
            trace.write = self._app.request_log.write

    def fail(self, error: Exception) -> None:
        """Note what the request failed with: in words that hold nothing of what was asked or answered."""
        code = code_of(error)
        rule = code if isinstance(error, GuardBlockedError | GuardUnavailableError) else ""
        self.trace.fail(status_of(error), code, reason_of(error, self._fields), guard_rule=rule)

    def end(self) -> None:
        """Write the record, if that is not done, and the line of the log."""
        if self._is_ended or not self.is_traced:
            return
        self._is_ended = True
        self.trace.end_settling()
        with within(self._deadline.settled_at_s()):
            self.trace.write_once()
        record = self.trace.record()
        write_line(fields_of(record, time.time()), metrics_of(record, *self.trace.used()))
        if self._app.settings.otlp_endpoint:
            self._app.span_exporter.send(record, self._headers)

    def headers(self) -> dict[str, str]:
        """What the answer's headers say of its cost to the operator. Of a stream it is not known when they are sent."""
        return {INFRA_COST_HEADER: f"{to_usd(self.trace.infra_nanousd()):f}"} if self.is_traced else {}

    def to_the_end_of(self, events: EventStream) -> EventStream:
        """The events of a streamed answer, at whose end the trace ends.

        That is before the last of them is sent: once it is, Lambda may let the function's process rest.
        """

        def watched() -> Iterator[Any]:
            try:
                yield from events.values
            except SluiceError as error:
                self.fail(error)
                self.end()
                raise
            self.end()

        def close() -> None:
            try:
                events.close()
            finally:
                self.end()

        return replace(events, values=watched(), close=close)
