"""Pages of the request log: records of several shards, each read newest first, as one list. Pure."""

from collections.abc import Sequence

from sluice.loading.dataclass import dataclass
from sluice.request_log.record import RequestRecord


@dataclass(frozen=True, slots=True)
class ShardPage:
    """What was read of a shard, newest first. `read_to` is the id of the last that was looked at, None at its end."""

    records: Sequence[RequestRecord]
    read_to: str | None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Records, newest first. `after` is the id that the next page begins behind, None if there is none."""

    records: tuple[RequestRecord, ...]
    after: str | None


def merged(pages: Sequence[ShardPage], limit: int) -> RecordPage:
    """The newest records of all shards, at most `limit`.

    A shard that was not read to its end may have more behind `read_to`: nothing older than the newest of those is shown
    yet, and the next page goes on there.
    """
    seen_to = max((page.read_to for page in pages if page.read_to is not None), default="")
    found = [each for page in pages for each in page.records if each.request_id >= seen_to]
    found.sort(key=lambda record: record.request_id, reverse=True)
    if len(found) > limit:
        return RecordPage(tuple(found[:limit]), found[limit - 1].request_id)
    return RecordPage(tuple(found), seen_to or None)
