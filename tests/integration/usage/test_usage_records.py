import random
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from sluice.chat import Usage
from sluice.errors import StorageUnavailableError
from sluice.storage.item_types import Item, from_item
from sluice.usage.records import UsageRecord, UsageRecords
from tests.conftest import Aws

NOON = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
ONE = UsageRecord(
    tenant="acme",
    caller="ada",
    provider="groq",
    model="llama-3.1-8b-instant",
    usage=Usage(100, 20),
    cost_nanousd=6_600,
    response_time_ms=250,
    infra_nanousd=21_345,
)


def quoted(part: str) -> str:
    return "".join({"#": "%23", "%": "%25"}.get(letter, letter) for letter in part)


def records(aws: Aws) -> UsageRecords:
    return UsageRecords(aws.table("USAGE_TABLE"), client=aws.client)


def rows(aws: Aws) -> dict[tuple[str, str], Item]:
    items = [from_item(item) for item in aws.items("USAGE_TABLE")]
    return {(item.pop("tenant_day"), item.pop("hour_route")): item for item in items}


def test_a_record_is_an_hourly_sum(aws: Aws) -> None:
    records(aws).add(ONE, NOON)
    assert rows(aws) == {
        ("acme#2026-11-21", "ada##12.chat#groq#llama-3.1-8b-instant##"): {
            "requests": 1,
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "cost_nanousd": 6_600,
            "response_time_ms": 250,
            "cache_hits": 0,
            "errors": 0,
            "infra_nanousd": 21_345,
            "expires_at": int((datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(days=400)).timestamp()),
        }
    }


def test_hours_and_days_are_utc_wherever_the_clock_is(aws: Aws) -> None:
    tokyo = timezone(timedelta(hours=9))
    records(aws).add(ONE, datetime(2026, 11, 22, 8, 59, tzinfo=tokyo))
    records(aws).add(ONE, datetime(2026, 11, 22, 9, 0, tzinfo=tokyo))
    assert [day + " " + hour.split("#")[2] for day, hour in sorted(rows(aws))] == [
        "acme#2026-11-21 23.chat",
        "acme#2026-11-22 00.chat",
    ]


def test_a_time_without_a_zone_is_refused(aws: Aws) -> None:
    with pytest.raises(ValueError, match="time zone"):
        records(aws).add(ONE, NOON.replace(tzinfo=None))
    assert rows(aws) == {}


def test_the_sums_of_many_records_from_many_threads_equal_a_slow_reference(aws: Aws) -> None:
    chance = random.Random(7)
    expected: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    added = []
    for _ in range(200):
        made = UsageRecord(
            tenant=chance.choice(["acme", "globex"]),
            caller=chance.choice(["ada", "b#ob", ""]),
            provider=chance.choice(["groq", "huggingface"]),
            model=chance.choice(["small", "org/large"]),
            usage=Usage(chance.randrange(10_000), chance.randrange(1_000)),
            cost_nanousd=chance.randrange(10**12),
            response_time_ms=chance.randrange(60_000),
            is_cache_hit=chance.random() < 0.3,
            is_error=chance.random() < 0.1,
            user=chance.choice(["", "pupil-1", "a#b%23"]),
            infra_nanousd=chance.randrange(10**6),
            operation=chance.choice(["chat", "task"]),
            credential=chance.choice(["groq-1", "a#1"]),
            task=chance.choice(["", "quiz"]),
        )
        at = NOON + timedelta(minutes=chance.randrange(24 * 60))
        added.append((made, at))
        route = (
            f"{quoted(made.caller)}#{quoted(made.user)}#{at.hour:02}.{made.operation}"
            f"#{made.provider}#{made.model}#{quoted(made.credential)}#{made.task}"
        )
        sums = expected[f"{made.tenant}#{at.date()}", route]
        sums["requests"] += 1
        sums["prompt_tokens"] += made.usage.prompt_tokens
        sums["completion_tokens"] += made.usage.completion_tokens
        sums["cost_nanousd"] += made.cost_nanousd
        sums["response_time_ms"] += made.response_time_ms
        sums["cache_hits"] += made.is_cache_hit
        sums["errors"] += made.is_error
        sums["infra_nanousd"] += made.infra_nanousd
        sums["expires_at"] = int((at.replace(minute=0) + timedelta(days=400)).timestamp())
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(records(aws).add, made, at) for made, at in added]:
            done.result()
    assert rows(aws) == expected


def test_the_longest_names_that_are_allowed_fit_a_key(aws: Aws) -> None:
    records(aws).add(replace(ONE, model="m" * 256, caller="#" * 32, user="\U0001f600" * 128), NOON)
    assert len(rows(aws)) == 1


def test_a_table_that_does_not_answer_is_an_error(aws: Aws) -> None:
    missing = UsageRecords("no-such-table", client=aws.client)
    with pytest.raises(StorageUnavailableError, match="UpdateItem: ResourceNotFoundException"):
        missing.add(ONE, NOON)
    assert rows(aws) == {}


def test_a_record_is_sent_once_even_if_dynamodb_fails(aws: Aws) -> None:
    sent = []

    class Failing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(500)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    program = f"""
from datetime import UTC, datetime
from sluice.chat import Usage
from sluice.errors import StorageUnavailableError
from sluice.usage.records import UsageRecord, UsageRecords
try:
    UsageRecords("usage").add({ONE!r}, datetime.now(UTC))
except StorageUnavailableError as error:
    print(error.message)
"""
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=aws.process_environment(AWS_ENDPOINT_URL=endpoint),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        server.shutdown()
    assert ran.stdout == "DynamoDB failed at UpdateItem: 500\n"
    assert len(sent) == 1
