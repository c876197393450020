"""The entry point of the function that EventBridge runs: by a schedule, or when an alarm goes off.

What the event says does not matter, nor whether it comes twice: what is due is found by the clock and by what is done.
"""

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from sluice.telemetry.request_ids import RequestIds

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from sluice.composition import App

logger = Logger()
logger.registered_handler.addFilter(RequestIds())

# What the report takes that is begun last.
_LEAST_S = 120.0


def schedule_handler(app: "App") -> "Callable[[dict[str, Any], LambdaContext], None]":
    """A handler that does what is due in this hour. It raises what failed, so that Lambda counts it and tries again."""

    @logger.inject_lambda_context(log_event=False)
    def on_event(event: dict[str, Any], context: "LambdaContext") -> None:
        remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
        ends_at_s = math.inf if remaining_ms is None else time.monotonic() + remaining_ms() / 1000
        logger.info("reporting", extra={"trigger": str(event.get("detail-type", "unknown"))})
        has_time = partial(_has_time, ends_at_s)
        try:
            app.reporter.run(has_time)
        finally:
            # What is wrong with reports keeps nobody from insights.
            app.proactive_insights.run(has_time)

    return on_event


def _has_time(ends_at_s: float) -> bool:
    return time.monotonic() + _LEAST_S < ends_at_s
