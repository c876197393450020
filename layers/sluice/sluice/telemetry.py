"""What is counted and logged when something is survived."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb

from aws_lambda_powertools import Logger

from sluice.errors import StorageUnavailableError

logger = Logger(child=True)

_NAMESPACE = "Sluice"


def emit_metric(metric: str, **dimensions: str) -> None:
    """Count one `metric` in CloudWatch's embedded metric format, once in all and once by its dimensions.

    An alarm is on one metric with fixed dimensions, and those in template.yaml on all of a stack's: its name is the
    `service` that Powertools is told of.
    """
    # Imported late: metrics are for what goes wrong, and a healthy request need not pay for them.
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    metrics = AmazonCloudWatchEMFProvider(namespace=_NAMESPACE)
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)
    if dimensions:
        of_stack = {"service": metrics.service} if metrics.service else {}
        metrics.add_dimensions(**of_stack, **dimensions)
    metrics.flush_metrics()


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
