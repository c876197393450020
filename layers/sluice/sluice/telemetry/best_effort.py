"""Bookkeeping whose failure costs no answer: it is logged and counted."""

from traceback import extract_tb
from types import TracebackType

from aws_lambda_powertools import Logger

from sluice.errors import StorageUnavailableError
from sluice.telemetry.metrics import emit_metric

logger = Logger(child=True)


class best_effort:  # noqa: N801 -- read as a verb; a generator would take twice as long, several times a request
    """Let an answer stand though `action`, a piece of bookkeeping, failed, whatever it raised: log it and count it."""

    __slots__ = ("_action",)

    def __init__(self, action: str) -> None:
        self._action = action

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        said: dict[str, object] = {"action": self._action}
        if isinstance(error, StorageUnavailableError):
            logger.warning("bookkeeping failed", extra={**said, "reason": error.message})
        else:
            # A fault of Sluice's own, which costs no answer that was paid for. Without its message, which may say what
            # was asked or answered.
            where = [
                f"{frame.name} in {frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in extract_tb(traceback)
            ]
            logger.error("bookkeeping failed", extra={**said, "reason": type(error).__name__, "trace": where})
        emit_metric("BookkeepingFailed", action=self._action)
        return True
