"""Workers that are killed at random while they answer a batch, whose provider counts."""

import os
from collections import Counter

import pytest

from tests.batch_workers import run_and_kill
from tests.batches import Batches, line
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProcess

LINES = int(os.environ.get("BATCH_LINES", "500"))
WORKERS, KILLS = 3, 5
CHUNK = 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_line_is_lost_and_none_paid_twice_but_what_was_in_flight_at_a_kill_and_that_is_shown(
    batches: Batches, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = dict.fromkeys(("requests_per_minute", "requests_per_day"), 90_000) | {"tokens_per_minute": 9_000_000}
    with FakeProcess(answer="Hello there.", keep_requests=2 * LINES) as fake:
        aws.set_credentials(gateway(fake, "fake-1", models={"small": model(limits=wide)}))
        for name in ("CALLER_REQUESTS_PER_MINUTE", "CALLER_REQUESTS_PER_DAY"):
            monkeypatch.setenv(name, "90000")
        batches.restart()
        batch_id = batches.create([line(f"q{number}", max_tokens=2) for number in range(LINES)])["id"]
        environment = aws.process_environment(
            **{name: value for name, value in os.environ.items() if name.startswith(("BATCH_", "FILES_", "CALLER_"))}
        )
        killed = run_and_kill(
            environment,
            lambda: batches.get(batch_id)["status"] == "completed",
            workers=WORKERS,
            kills=KILLS,
            within_s=540,
        )
        assert killed
        batch = batches.get(batch_id)
        assert batch["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
        answered = [each["custom_id"] for each in batches.content(batch["output_file_id"])]
        assert answered == [f"q{number}" for number in range(LINES)]
        asked = Counter(request["body"]["messages"][0]["content"] for request in fake.requests())
    assert len(asked) == LINES
    twice = sum(asked.values()) - LINES
    again = batch["sluice"]["asked_again"]
    told = f"{killed} killed, {twice} asked twice, {again} counted as asked again"
    # Who is killed before a question was sent leaves a claim too: that is counted, and cost nothing.
    assert twice <= again <= killed * CHUNK, told
    # What was answered before a kill may have been cached: then it is not asked again, and costs nothing again.
    assert 2 * (LINES - again) <= batch["usage"]["output_tokens"] <= 2 * LINES, told
