"""Pages of the request log, against a list that is sorted at once."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.request_log.page import RecordPage, ShardPage, merged
from sluice.request_log.record import RequestOutcome, RequestRecord

IDS = st.lists(st.integers(0, 10**6), unique=True, max_size=60)


def record(number: int) -> RequestRecord:
    return RequestRecord(
        request_id=f"req_{number:032x}",
        tenant="acme",
        caller="key",
        route="createChatCompletion",
        outcome=RequestOutcome.ANSWERED if number % 3 else RequestOutcome.REFUSED,
        status=200,
    )


def read(shard: list[RequestRecord], after: str | None, at_once: int) -> ShardPage:
    """What DynamoDB answers: so many are looked at, and of these the answered ones are found."""
    older = [each for each in shard if after is None or each.request_id < after]
    seen = older[:at_once]
    found = [each for each in seen if each.outcome is RequestOutcome.ANSWERED]
    # It says that there may be more also where it stopped at the very last.
    return ShardPage(found, seen[-1].request_id if len(seen) == at_once else None)


@given(IDS, st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))
def test_pages_in_a_row_hold_each_record_once_newest_first(
    numbers: list[int], shards: int, at_once: int, limit: int
) -> None:
    records = sorted(map(record, numbers), key=lambda each: each.request_id, reverse=True)
    split = [[each for each in records if int(each.request_id[-4:], 16) % shards == shard] for shard in range(shards)]
    found: list[RequestRecord] = []
    after: str | None = None
    for _ in range(10 * len(numbers) + 2):
        page = merged([read(shard, after, at_once) for shard in split], limit)
        assert len(page.records) <= limit
        found += page.records
        after = page.after
        if after is None:
            break
    assert after is None
    assert found == [each for each in records if each.outcome is RequestOutcome.ANSWERED]


def test_a_page_of_nothing_is_the_last() -> None:
    assert merged([ShardPage((), None)] * 8, 20) == RecordPage((), None)
