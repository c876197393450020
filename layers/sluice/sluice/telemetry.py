"""What is counted and logged when something is survived."""

from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

from sluice.errors import StorageUnavailableError

logger = Logger(child=True)

_NAMESPACE = "Sluice"


def count(metric: str, **dimensions: str) -> None:
    """Count one `metric` in CloudWatch's embedded metric format."""
    # Imported late: metrics are for what goes wrong, and a healthy request need not pay for them.
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(name=metric, unit=MetricUnit.Count, value=1, namespace=_NAMESPACE) as entry:
        for name, value in dimensions.items():
            entry.add_dimension(name=name, value=value)


@contextmanager
def surviving(action: str) -> Iterator[None]:
    """Let an answer stand though `action`, a piece of bookkeeping, failed: log it and count it."""
    try:
        yield
    except StorageUnavailableError as error:
        logger.warning("bookkeeping failed", extra={"action": action, "reason": error.message})
        count("BookkeepingFailed", action=action)
