"""Counts of a source by day, beside what was counted before days were told apart."""

from datetime import UTC, date, datetime

from sluice.composition import App
from sluice.ingestion.journal import Journal
from sluice.ingestion.source import Source, SourceType
from sluice.storage.item_types import to_item
from sluice.storage.tables import INGESTION
from tests.conftest import Aws


def test_counts_are_of_all_days_and_by_day(aws: Aws) -> None:
    app = App.from_environment()
    source = Source(
        id="src_acme.1",
        tenant="acme",
        type=SourceType.JIRA,
        name="x",
        vector_store_id="vs_1",
        sealed_secret="s",
        hint="s",
        created_at=1,
        updated_at=1,
        caller="k1",
    )
    table, now = app.settings.ingestion_table, datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
    journal = Journal(table, app.dynamodb, lambda: now.timestamp())
    assert (journal.counts(source).by_name, journal.days(source, date(2026, 1, 1))) == ({}, {})
    old = INGESTION.key("counts#src_acme.1", "total") | to_item({"n.received": 100, "last_event_at": 5})
    app.dynamodb.call("PutItem", {"TableName": table, "Item": old})
    journal.count(source, ["received"], is_event=True)
    last_event_at = int(now.timestamp())
    now = datetime(2026, 11, 26, tzinfo=UTC)
    journal.count(source, ["received", "written", "written"])
    counts = journal.counts(source)
    assert counts.by_name == {"received": 102, "written": 2}
    assert counts.last_event_at == last_event_at
    days = {date(2026, 11, 24): {"received": 1}, date(2026, 11, 26): {"received": 1, "written": 2}}
    assert journal.days(source, date(2026, 1, 1)) == days
    assert list(journal.days(source, date(2026, 11, 25))) == [date(2026, 11, 26)]
