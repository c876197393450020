"""Deletion of a user's data in a tenant: conversations, its name in usage, records and reports, and its comments.

Each step is one that may be done again, so that a deletion that broke off is finished by sending it once more. What a
user's requests add meanwhile is not found by it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import batched

from sluice.conversations.conversation import Owner
from sluice.conversations.oversight import Oversight
from sluice.conversations.reader import ConversationReader
from sluice.errors import NotFoundError
from sluice.loading.dataclass import dataclass
from sluice.request_log.erasure import RequestLogErasure
from sluice.request_log.schema import KEPT_S
from sluice.tasks.results import Results, digest
from sluice.tenants.audit import Act, Action, Actor, Change
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.directory import Directory
from sluice.tenants.login.claims import LOGIN_ID_PREFIX, is_login_id
from sluice.tenants.tenant import ApiKey, Role
from sluice.tenants.verification import ADMIN_ID
from sluice.usage.erasure import UsageErasure

# As long as usage is kept.
_DAYS = 401
# A key is believed for a while after it was revoked, and a request takes some time.
_AFTER_REVOCATION = timedelta(days=1)
# As long as a request is recorded: what began at the end of its first day goes in the next one.
_RECORDED_DAYS = KEPT_S // 86_400 + 1
# So many days are looked at between two looks at the time.
_BATCH = 16
# The smallest step takes a part of it.
_LEAST_S = 4.0

# The first admin key is in no directory.
_ADMIN = ApiKey(ADMIN_ID, ADMIN_ID, Role.ADMIN, ADMIN_ID)


@dataclass(frozen=True, slots=True)
class UserStores:
    """Where a user's data is; `tasks` are the names of the tasks there are."""

    conversations: ConversationReader
    oversight: Oversight
    usage: UsageErasure
    records: RequestLogErasure
    results: Results
    tasks: Sequence[str]
    erase_from_reports: Callable[[str, str, Iterable[date]], int]
    """Erases a tenant's user from the reports of some days; returns how many named it."""


@dataclass(frozen=True, slots=True)
class DeletedData:
    """What was deleted; `resumes_at` is the day to go on with, if the time was not enough."""

    conversations: int = 0
    comments: int = 0
    usage_sums: int = 0
    request_records: int = 0
    reports: int = 0
    resumes_at: date | None = None
    is_finished: bool = True


class UserDeletion:
    """Deletes users' data. All methods raise StorageUnavailableError."""

    def __init__(
        self, directory: Directory, stores: UserStores, log: AuditLog, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._stores = stores
        self._log = log
        self._now = now

    def delete(
        self, tenant: str, user: str, actor: Actor, *, resume_at: date | None, remaining_s: Callable[[], float]
    ) -> DeletedData:
        """Delete what there is of a user, for as long as there is time; with `resume_at`, usage from that day back.

        It is no error if there is nothing. The audit record has the counts, and a digest in place of the name.
        """
        act = Act(Action.USER_DELETED, digest(tenant, user), tenant)
        with self._log.recording(act, actor) as opened:
            deleted = self._delete(tenant, user, resume_at, remaining_s)
            for name in ("conversations", "comments", "usage_sums", "request_records", "reports", "is_finished"):
                opened.changes[name] = Change(None, getattr(deleted, name))
        return deleted

    def _delete(self, tenant: str, user: str, resume_at: date | None, remaining_s: Callable[[], float]) -> DeletedData:
        keys, logins_since = self._keys(tenant), self._begun(tenant)
        today = datetime.fromtimestamp(self._now(), UTC).date()
        first = min(resume_at or today, today)
        done = DeletedData(is_finished=False, resumes_at=first)
        for owner, conversation_id in self._conversations(tenant, user, keys):
            if remaining_s() < _LEAST_S:
                return done
            done = replace(done, conversations=done.conversations + self._forget(owner, conversation_id))
        for task in self._stores.tasks:
            if remaining_s() < _LEAST_S:
                return done
            done = replace(done, comments=done.comments + self._stores.results.forget(tenant, user, task))
        for batch in _batches(first, today):
            done = replace(done, resumes_at=batch[0])
            if remaining_s() < _LEAST_S:
                return done
            if batch[0] > today - timedelta(days=_RECORDED_DAYS):
                records, is_all = self._stores.records.erase(tenant, user, batch[0], lambda: remaining_s() >= _LEAST_S)
                done = replace(done, request_records=done.request_records + records)
                if not is_all:
                    return done
            logins = self._stores.usage.callers(
                tenant, user, (day for day in batch if day >= logins_since), LOGIN_ID_PREFIX
            )
            used = {
                day: [
                    *(key.id for key in keys if _may_have_used(key, day)),
                    *filter(is_login_id, logins.get(day, ())),
                ]
                for day in batch
            }
            merged = self._stores.usage.erase(tenant, user, used)
            # After usage: a report that is made now is made of sums that name nobody.
            unnamed = self._stores.erase_from_reports(tenant, user, batch)
            done = replace(done, usage_sums=done.usage_sums + merged, reports=done.reports + unnamed)
        return replace(done, is_finished=True, resumes_at=None)

    def _conversations(self, tenant: str, user: str, keys: Sequence[ApiKey]) -> Iterator[tuple[Owner, str]]:
        """All conversations of a user: below each key, and those of logins, which no list has."""
        for key in keys:
            owner = Owner(tenant, key.id, user)
            for conversation_id in self._stores.conversations.ids(owner):
                yield owner, conversation_id
        for owner, conversation_id in self._stores.oversight.of_user(tenant, user):
            if is_login_id(owner.caller):
                yield owner, conversation_id

    def _begun(self, tenant: str) -> date:
        """Since when there can be logins of a tenant."""
        found = self._directory.tenant(tenant)
        return date.min if found is None else datetime.fromtimestamp(found.created_at, UTC).date()

    def _forget(self, owner: Owner, conversation_id: str) -> int:
        try:
            self._stores.conversations.delete(owner, conversation_id)
        except NotFoundError:
            # It is listed for a moment after it has gone.
            return 0
        return 1

    def _keys(self, tenant: str) -> list[ApiKey]:
        """All keys that a tenant has had: none is ever removed."""
        found = list(self._directory.all_keys(tenant))
        return [*found, _ADMIN] if tenant == ADMIN_ID else found


def _batches(first: date, today: date) -> Iterator[tuple[date, ...]]:
    """The days from `first` back, each by itself where there may be records of requests: these take more time."""
    oldest = today - timedelta(days=_DAYS)
    days = [first - timedelta(days=number) for number in range((first - oldest).days + 1)]
    recorded = [day for day in days if day > today - timedelta(days=_RECORDED_DAYS)]
    yield from ((day,) for day in recorded)
    yield from batched(days[len(recorded) :], _BATCH, strict=False)


def _may_have_used(key: ApiKey, day: date) -> bool:
    begun = datetime.fromtimestamp(key.created_at, UTC).date()
    ended = None if key.revoked_at is None else datetime.fromtimestamp(key.revoked_at, UTC).date()
    return begun <= day and (ended is None or day <= ended + _AFTER_REVOCATION)
