"""Which function a sample event is for."""

import json

import pytest

from sluice.batches.messages import read_job, read_lines
from sluice.ingestion.messages import read_message as read_event
from sluice.knowledge.messages import read_message
from sluice.webhooks.messages import read_delivery
from tests.transformed import FUNCTIONS
from tools.events import EVENTS
from tools.invoke import function_for


def test_every_function_has_a_sample_of_what_triggers_it() -> None:
    assert {function_for(path.read_text()) for path in EVENTS.glob("*.json")} == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("batch_lines", read_lines),
        ("batch_jobs", read_job),
        ("store_work", read_message),
        ("ingest_event", read_event),
        ("webhook_delivery", read_delivery),
    ],
)
def test_the_samples_of_messages_are_such_as_are_sent(name: str, read: object) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    assert callable(read)
    assert read(event["Records"][0]["body"])


def test_an_event_that_nothing_takes_is_refused() -> None:
    with pytest.raises(SystemExit, match="no function"):
        function_for('{"httpMethod": "GET", "resource": "/nowhere"}')
    with pytest.raises(SystemExit, match="no function"):
        function_for('{"Records": [{"eventSourceARN": "arn:aws:sqs:us-east-1:1:Other"}]}')
    with pytest.raises(SystemExit, match="no function"):
        function_for('{"source": "aws.scheduler", "resources": ["arn:aws:scheduler:us-east-1:1:schedule/default/x"]}')
