"""A stage with a bucket and queues, for batches."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import boto3

from benchmarks.stage import Stage, staged

SHARE_PERCENT = 20
"""How much of every limit batches leave free."""


@contextmanager
def batching() -> Iterator[Stage]:
    """A stage with a bucket and queues."""
    with staged() as stage:
        bucket = f"files-{uuid.uuid4().hex[:8]}"
        boto3.client("s3").create_bucket(Bucket=bucket)
        variables = {"FILES_BUCKET": bucket, "INTERACTIVESHARE_PERCENT": str(SHARE_PERCENT)}
        sqs = boto3.client("sqs")
        for name in ("BATCH_LINES_QUEUE", "BATCH_JOBS_QUEUE"):
            variables[name] = sqs.create_queue(QueueName=name.lower())["QueueUrl"]
        os.environ.update(variables)
        yield replace(stage, app=type(stage.app).from_environment(), environment={**stage.environment, **variables})
