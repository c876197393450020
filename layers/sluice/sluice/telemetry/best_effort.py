"""Bookkeeping whose failure costs no answer: it is logged and counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb

from aws_lambda_powertools import Logger

from sluice.errors import StorageUnavailableError
from sluice.telemetry.metrics import emit_metric

logger = Logger(child=True)


@contextmanager
def best_effort(action: str) -> Iterator[None]:
    """Let an answer stand though `action`, a piece of bookkeeping, failed, whatever it raised: log it and count it."""
    try:
        yield
    except StorageUnavailableError as error:
        logger.warning("bookkeeping failed", extra={"action": action, "reason": error.message})
        emit_metric("BookkeepingFailed", action=action)
    except Exception as error:  # noqa: BLE001 -- a fault of Sluice's own, which costs no answer that was paid for
        # Without its message, which may say what was asked or answered.
        where = [
            f"{frame.name} in {frame.filename.rpartition('/')[2]}:{frame.lineno}"
            for frame in extract_tb(error.__traceback__)
        ]
        logger.error("bookkeeping failed", extra={"action": action, "reason": type(error).__name__, "trace": where})  # noqa: TRY400
        emit_metric("BookkeepingFailed", action=action)
