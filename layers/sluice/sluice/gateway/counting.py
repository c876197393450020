"""Counting of a request for who sent it: its API key, and the user that an application names."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager

from sluice.errors import QuotaExceededError, SluiceError
from sluice.gateway.provenance import RequestLimit
from sluice.loading.dataclass import dataclass
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import Limit, caller_limits
from sluice.quota.reservation import Reservation
from sluice.quota.scopes import key_scope, user_scope
from sluice.quota.wait_words import in_words
from sluice.settings import Settings
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.principal import Principal

_OURS = 500


@dataclass(frozen=True, slots=True)
class CountedRequest:
    """A request that was counted: what was taken for it, and what is left of its API key's limit."""

    reservations: tuple[Reservation, ...]
    limit: RequestLimit


@dataclass(frozen=True, slots=True)
class CallerScope:
    """A caller's limits, which a request takes from: `whose` they are, for people, and the ledger's name of them."""

    whose: str
    name: str
    limits: tuple[Limit, ...]

    @property
    def costs(self) -> dict[str, int]:
        """What one request takes."""
        return {limit.name: 1 for limit in self.limits}


class CallerCounter:
    """Counts requests for their callers. Safe to share between threads."""

    def __init__(self, ledger: Ledger, settings: Settings, executor: Executor) -> None:
        self._ledger = ledger
        self._settings = settings
        self._executor = executor

    def check(self, principal: Principal, user: str) -> tuple[CallerScope, ...]:
        """Whose limits a request is to be counted against.

        Raises QuotaExceededError where this process knows that `take` would: who is refused again costs nothing.
        """
        scopes = self._scopes(principal, user)
        for each in scopes:
            with _refusals(each):
                self._ledger.check(each.name, each.costs)
        return scopes

    def count(self, principal: Principal, user: str = "") -> CountedRequest:
        """Count one request for its API key and, both at once, for the `user` of it, if it names one.

        Raises QuotaExceededError, LedgerUnavailableError; then it is counted for neither.
        """
        return self.take(self.check(principal, user))

    def take(self, scopes: tuple[CallerScope, ...]) -> CountedRequest:
        """As `count`, where `check` has been done."""
        key = scopes[0]
        reserving = [self._executor.submit(self._reserve, each) for each in scopes[1:]]
        try:
            first = self._reserve(key)
        except BaseException:
            self._give_back_when_done(reserving)
            raise
        try:
            reservations = (first, *[each.result() for each in reserving])
        except BaseException:
            self.give_back(first)
            raise
        left = first.snapshot.status(key.limits[0], self._ledger.now_ms())
        return CountedRequest(reservations, RequestLimit(left.capacity, left.remaining, left.resets_in_ms / 1000))

    def give_back(self, *reservations: Reservation) -> None:
        """Undo what was counted for a request that was not sent to anybody."""
        for each in reservations:
            with best_effort("giving back a reservation"):
                self._ledger.give_back(each)

    @contextmanager
    def kept(self, counted: CountedRequest) -> Iterator[None]:
        """Keep what was counted whatever the caller did wrong, and give it back where the fault is not the caller's."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, SluiceError) or error.status >= _OURS:
                self.give_back(*counted.reservations)
            raise

    def _scopes(self, principal: Principal, user: str) -> tuple[CallerScope, ...]:
        key = self._key(principal)
        # The user that a login is has the login's limits.
        if user and principal.user is None and (limits := self._user_limits()):
            name = user_scope(principal.tenant.id, principal.caller_id, user)
            return key, CallerScope("The user", name, limits)
        return (key,)

    def _reserve(self, scope: CallerScope) -> Reservation:
        with _refusals(scope):
            return self._ledger.reserve(scope.name, scope.limits, scope.costs)

    def _give_back_when_done(self, reserving: list[Future[Reservation]]) -> None:
        for each in reserving:
            if each.exception() is None:
                self.give_back(each.result())

    def _key(self, principal: Principal) -> CallerScope:
        key, defaults = principal.key, self._settings
        per_minute = defaults.requests_per_minute if key.requests_per_minute is None else key.requests_per_minute
        per_day = defaults.requests_per_day if key.requests_per_day is None else key.requests_per_day
        limits = caller_limits(per_minute, per_day)
        whose = "The login" if principal.is_login else "The API key"
        return CallerScope(whose, key_scope(principal.tenant.id, principal.caller_id), limits)

    def _user_limits(self) -> tuple[Limit, ...]:
        per_minute, per_day = self._settings.user_requests_per_minute, self._settings.user_requests_per_day
        return tuple(limit for limit in caller_limits(per_minute, per_day) if limit.capacity)


@contextmanager
def _refusals(scope: CallerScope) -> Iterator[None]:
    try:
        yield
    except QuotaDeniedError as refused:
        raise denied(refused, scope.whose, "rate_limit_exceeded") from refused


def denied(refused: QuotaDeniedError, whose: str, code: str, left: str = "") -> QuotaExceededError:
    """The 429 that a denied reservation becomes: `whose` limit it is, and what is `left` of it, in words."""
    wait_ms = refused.denial.retry_after_ms
    limit = refused.denial.limit.replace("nanousd_per_month", "dollars per month").replace("_", " ")
    said = f": {left}" if left else ""
    if wait_ms is None:
        reason = f"{whose} has too small a limit of {limit} for this{said}."
        return QuotaExceededError(reason, retry_after_s=None, code=code)
    wait_s = -(-wait_ms // 1000)
    return QuotaExceededError(
        f"{whose} is out of {limit}{said}. Try again in {in_words(wait_s)}.", retry_after_s=wait_s, code=code
    )
