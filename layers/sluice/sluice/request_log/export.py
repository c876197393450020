"""Sends spans of requests to a collector, by OTLP over HTTP as JSON, at best effort."""

import json
import os
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from urllib.parse import urlsplit

from sluice.request_log.record import RequestRecord
from sluice.request_log.spans import spans_of, trace_parent
from sluice.telemetry.best_effort import logger
from sluice.telemetry.metrics import emit_metric

# A caller waits for it, since a function that has answered is frozen.
_TIMEOUT_S = 0.5
_PAUSE_AFTER_FAILURE_S = 30.0
_REFUSED = 300


class SpanExporter:
    """Sends spans to one collector. Threads may share it.

    After a failure, nothing is sent for a while: a collector that is gone must not cost each request its time-out.
    """

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's URL, as in OTEL_EXPORTER_OTLP_ENDPOINT."""
        parts = urlsplit(endpoint)
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = str(parts.hostname), parts.port
        self._path = f"{parts.path.rstrip('/')}/v1/traces"
        self._connection: HTTPConnection | None = None
        self._paused_until_s = 0.0
        self._lock = Lock()

    def send(self, record: RequestRecord, headers: Mapping[str, str]) -> None:
        """Send the spans of a request that came with `headers`, unless its trace is one that is not recorded."""
        parent = trace_parent(headers, record.request_id)
        if not parent.is_sampled or time.monotonic() < self._paused_until_s:
            return
        spans = spans_of(record, parent, time.time_ns(), os.environ.get("POWERTOOLS_SERVICE_NAME", ""))
        body = json.dumps(spans, separators=(",", ":")).encode()
        with self._lock:
            try:
                self._post(body)
            except (OSError, HTTPException) as error:
                self._paused_until_s = time.monotonic() + _PAUSE_AFTER_FAILURE_S
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
                logger.warning("spans not sent", extra={"reason": type(error).__name__})
                emit_metric("SpansNotSent")

    def _post(self, body: bytes) -> None:
        was_open = self._connection is not None
        try:
            self._exchange(body)
        except ConnectionError:
            if not was_open:
                raise
            # The collector has closed a connection that was kept, perhaps while the function was frozen.
            self._connection = None
            self._exchange(body)

    def _exchange(self, body: bytes) -> None:
        if self._connection is None:
            self._connection = self._kind(self._host, self._port, timeout=_TIMEOUT_S)
        self._connection.request("POST", self._path, body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        if answer.status >= _REFUSED:
            raise HTTPException(f"the collector answered {answer.status}")
