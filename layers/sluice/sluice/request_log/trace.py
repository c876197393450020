"""Trace of one request on its way: what is noted of it as it goes, and becomes its record when it ends."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field
from threading import Lock

from sluice.errors import ProviderError
from sluice.loading.dataclass import dataclass
from sluice.request_log.infrastructure import cost_of, own_prices
from sluice.request_log.record import Attempted, GuardModelUse, RequestOutcome, RequestRecord
from sluice.storage.metering import ConsumedUnits

ANSWERED = "answered"

type WriteRecord = Callable[[RequestRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one question to a model, or to the cache, came to."""

    outcome: RequestOutcome | None
    """None if nobody has answered, or not yet."""
    complexity: str
    cache: str
    guard_rules: tuple[str, ...] = ()
    model: str = ""
    deployment: str = ""
    provider: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    quota_used: float | None = None
    """The share of its deployment's scarcest limit that is used, in 0..1."""
    budget_used: float | None = None
    """The same of its tenant's budget."""
    tier: str = ""
    """Of the model, if one was asked."""


@dataclass(slots=True, kw_only=True)
class RequestTrace:
    """Collects what becomes of one request, which may ask models several times, also at once. Threads may share it.

    `write` puts the record into the request log. `asks_once`: one question is all that the request asks, so that its
    record is written while that is settled, which costs the caller no time.
    """

    request_id: str = ""
    api_request_id: str = ""
    tenant: str = ""
    caller: str = ""
    route: str = ""
    asks_once: bool = False
    write: WriteRecord | None = None
    user: str = ""
    task: str = ""
    idempotency_key: str = ""
    asked_model: str = ""
    is_streamed: bool = False
    error_code: str = ""
    reason: str = ""
    status: int = 200
    blocking_rule: str = ""
    units: ConsumedUnits = field(default_factory=ConsumedUnits)
    is_written: bool = False
    _settled: list[Settled] = field(default_factory=list)
    _attempts: list[Attempted] = field(default_factory=list)
    _guard_models: list[GuardModelUse] = field(default_factory=list)
    _started_s: float = field(default_factory=time.monotonic)
    _provider_s: float = 0.0
    _pending_writes: int = 0
    _taken_nanousd: int = 0
    _first_token_s: float | None = None
    _streaming_since_s: float | None = None
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def calling(self, deployment: str) -> Iterator[None]:
        """Note a call of a deployment's provider, how long it takes and what it fails with."""
        started_s = time.monotonic()
        result, status = ANSWERED, 0
        try:
            yield
        except ProviderError as error:
            result, status = failure_name(error), error.status or 0
            raise
        except BaseException as error:
            result = type(error).__name__
            raise
        finally:
            took_s = time.monotonic() - started_s
            with self._lock:
                self._provider_s += took_s
                # A call takes some time, and 0 stands for no call.
                began_ms = round((started_s - self._started_s) * 1000)
                self._attempts.append(Attempted(deployment, result, max(1, round(took_s * 1000)), status, began_ms))

    def skipped(self, reasons: Iterable[tuple[str, str]]) -> None:
        """Note deployments that were passed over, and why; those that were called have their own reason."""
        with self._lock:
            called = {each.deployment for each in self._attempts}
            self._attempts += [Attempted(name, why) for name, why in reasons if name not in called]

    def judged(self, use: GuardModelUse) -> None:
        """Note that a guard model has judged, or could not: what that took is its provider's time."""
        with self._lock:
            self._guard_models.append(use)
            self._provider_s += use.time_ms / 1000

    @property
    def guard_models(self) -> tuple[GuardModelUse, ...]:
        """The guard models that were asked so far."""
        with self._lock:
            return tuple(self._guard_models)

    @property
    def has_paid(self) -> bool:
        """Whether a model has read or said anything, of the request or for a guard: a provider bills that."""
        with self._lock:
            return any(
                each.prompt_tokens or each.completion_tokens or each.cost_nanousd for each in self._settled
            ) or any(each.tokens or each.cost_nanousd for each in self._guard_models)

    @property
    def has_answer(self) -> bool:
        """Whether any question was answered, by a model or from the cache."""
        with self._lock:
            return any(each.outcome is RequestOutcome.ANSWERED for each in self._settled)

    def streams(self) -> None:
        """Note that the first piece of a stream has arrived."""
        self._streaming_since_s = time.monotonic()
        if self._first_token_s is None:
            self._first_token_s = self._streaming_since_s

    def settle(self, settled: Settled) -> dict[str, Callable[[], None]]:
        """Note what a question came to; returns what is to be done at once with the rest of its settlement."""
        with self._lock:
            self._settled.append(settled)
            self._pending_writes = _WRITES_OF_AN_ANSWER if settled.deployment else _WRITES_OF_A_REFUSAL
            if settled.cache == "hit":
                self._pending_writes = _WRITES_OF_A_HIT
            if self._streaming_since_s is not None:
                # The rest of a stream is its provider's time too.
                self._provider_s += time.monotonic() - self._streaming_since_s
                self._streaming_since_s = None
        is_over = settled.outcome in {RequestOutcome.ANSWERED, RequestOutcome.ABANDONED}
        return {"writing the request log": self.write_once} if self.asks_once and is_over else {}

    def infra_nanousd(self) -> int:
        """An estimate of what AWS bills for the request by now, and for the writes that are about to be done."""
        duration_s = time.monotonic() - self._started_s
        return cost_of(
            own_prices(),
            duration_s,
            read_units=self.units.read,
            write_units=self.units.write + self._pending_writes,
            line_bytes=_LONG_LINE_BYTES if self._attempts else _SHORT_LINE_BYTES,
        ).nanousd

    def take_infra_nanousd(self) -> int:
        """That, without what was taken before: of several questions each has its part."""
        with self._lock:
            whole = self.infra_nanousd()
            taken, self._taken_nanousd = whole - self._taken_nanousd, whole
            return max(0, taken)

    def end_settling(self) -> None:
        """Note that nothing is about to be written any more."""
        self._pending_writes = 0

    def fail(self, status: int, code: str, reason: str, *, guard_rule: str = "") -> None:
        """Note what a request failed with, and which rule it was, if one blocked it."""
        self.status, self.error_code, self.reason = status, code, reason
        self.blocking_rule = guard_rule

    def write_once(self) -> None:
        """Write the record, if it is to be written and is not."""
        with self._lock:
            is_due = self.write is not None and not self.is_written
            self.is_written = True
        if is_due and self.write is not None:
            self.write(self.record())

    def record(self) -> RequestRecord:
        """The record, as of now."""
        with self._lock:
            settled, attempts, guard_models = tuple(self._settled), tuple(self._attempts), tuple(self._guard_models)
            total_s, provider_s = time.monotonic() - self._started_s, self._provider_s
        last = next((each for each in reversed(settled) if each.deployment), settled[-1] if settled else _NOTHING)
        first_s = self._first_token_s
        blocking = [self.blocking_rule] if self.blocking_rule else []
        return RequestRecord(
            request_id=self.request_id,
            api_request_id=self.api_request_id,
            tenant=self.tenant,
            caller=self.caller,
            user=self.user,
            route=self.route,
            task=self.task,
            outcome=self._outcome(settled),
            status=self.status,
            error_code=self.error_code,
            reason=self.reason,
            asked_model=self.asked_model,
            model=last.model,
            deployment=last.deployment,
            provider=last.provider,
            tier=last.tier,
            complexity=last.complexity,
            cache=last.cache,
            is_streamed=self.is_streamed,
            attempts=attempts,
            guard_rules=tuple(dict.fromkeys([*(rule for each in settled for rule in each.guard_rules), *blocking])),
            guard_models=guard_models,
            asks=len(settled),
            prompt_tokens=sum(each.prompt_tokens for each in settled),
            completion_tokens=sum(each.completion_tokens for each in settled),
            cost_nanousd=sum(each.cost_nanousd for each in settled),
            total_ms=round(total_s * 1000),
            first_token_ms=0 if first_s is None else max(1, round((first_s - self._started_s) * 1000)),
            provider_ms=round(provider_s * 1000),
            own_ms=max(0, round((total_s - provider_s) * 1000)),
            infra_nanousd=self.infra_nanousd(),
            idempotency_key=self.idempotency_key,
        )

    def used(self) -> tuple[float | None, float | None]:
        """The shares of the deployment's quota and of the tenant's budget that are used, as last seen."""
        with self._lock:
            settled = tuple(self._settled)
        quotas = [each.quota_used for each in settled if each.quota_used is not None]
        budgets = [each.budget_used for each in settled if each.budget_used is not None]
        return quotas[-1] if quotas else None, budgets[-1] if budgets else None

    def _outcome(self, settled: tuple[Settled, ...]) -> RequestOutcome:
        last = settled[-1].outcome if settled else None
        if self.status < _REFUSED:
            return last or RequestOutcome.ANSWERED
        if last in {RequestOutcome.WITHHELD, RequestOutcome.INTERRUPTED}:
            return last
        return RequestOutcome.REFUSED if self.status < _FAILED else RequestOutcome.FAILED


_REFUSED, _FAILED = 400, 500
# The deployment's quota, usage, the cache and the record; usage and the record; the caller's limit.
_WRITES_OF_AN_ANSWER, _WRITES_OF_A_HIT, _WRITES_OF_A_REFUSAL = 4, 2, 1
# Of a line of the log that says what calls of models took, and of one that has nothing to say of that.
_LONG_LINE_BYTES, _SHORT_LINE_BYTES = 2_200, 1_000
_NOTHING = Settled(outcome=None, complexity="", cache="")


def failure_name(error: ProviderError) -> str:
    """What a provider's failure is called in records, as the router calls it: `RateLimited`."""
    return type(error).__name__.removeprefix("Provider").removesuffix("Error")
