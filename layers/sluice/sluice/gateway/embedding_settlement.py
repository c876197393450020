"""Settlement of a request for vectors: correct what was reserved, record usage, write the request's record."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from sluice.catalog.money import to_usd
from sluice.chat import Usage
from sluice.gateway.background import Task, settle_all
from sluice.gateway.budget import Spent
from sluice.gateway.counting import CallerCounter
from sluice.gateway.embedding_batch import AdmittedEmbedding, EmbeddingBatch
from sluice.gateway.provenance import Provenance
from sluice.gateway.recording import Reserved, record_of_call
from sluice.gateway.settlement import known_nanousd, price_nanousd
from sluice.loading.dataclass import dataclass
from sluice.providers.deployment import Deployment
from sluice.request_log.record import RequestOutcome
from sluice.request_log.trace import Settled
from sluice.routing.deployment_quota import DeploymentQuota
from sluice.telemetry.best_effort import best_effort
from sluice.usage.records import UsageRecord, UsageRecords

_NO_USAGE = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class EmbeddingSettlement:
    """Settles requests for vectors. Safe to share between threads. What fails in it is survived, logged and counted."""

    callers: CallerCounter
    quota: DeploymentQuota
    usage: UsageRecords
    executor: Executor

    def settle(self, admitted: AdmittedEmbedding) -> tuple[Usage, Provenance]:
        """Settle a request whose batches were all answered. Returns what they used, and how they came about."""
        return self._settle(admitted, RequestOutcome.ANSWERED, {})

    def settle_failed(self, admitted: AdmittedEmbedding) -> None:
        """Settle a request of which some batch was not answered: what others used stays used, though nobody gets it."""
        tasks: dict[str, Task] = {}
        if not admitted.was_asked:
            tasks["giving back a request"] = partial(self.callers.give_back, *admitted.counted.reservations)
        self._settle(admitted, None, tasks)

    def _settle(
        self, admitted: AdmittedEmbedding, outcome: RequestOutcome | None, tasks: dict[str, Task]
    ) -> tuple[Usage, Provenance]:
        used = _NO_USAGE
        reserved = None
        for number, batch in enumerate(admitted.batches):
            if batch.answered is not None:
                # Seen before it is settled, which lets the budget's reservation go.
                reserved = Reserved(batch.answered, batch.budget.of_tenant(admitted.principal.tenant.id))
                batch.budget.charge(Spent(_cost_nanousd([batch]) or 0, batch.used.total_tokens))
                used = Usage(used.prompt_tokens + batch.used.prompt_tokens, 0)
                tasks[f"settling a deployment: {number}"] = partial(self._settle_deployment, batch)
            tasks |= {f"{name}: {number}": task for name, task in batch.budget.closing().items()}
        for number, record in enumerate(_records(admitted, is_error=outcome is None)):
            tasks[f"recording usage: {number}"] = partial(self._record, record)
        provenance = _provenance(admitted, _cost_nanousd(admitted.batches), outcome)
        with best_effort("noting a request"):
            tasks |= _note(admitted, provenance, used, outcome, reserved)
        settle_all(tasks, self.executor, admitted.context.deadline)
        return used, provenance

    def _settle_deployment(self, batch: EmbeddingBatch) -> None:
        if batch.answered is not None:
            self.quota.settle(batch.answered, batch.used, 0, batch.answered.answer.rate_limits)

    def _record(self, record: UsageRecord) -> None:
        with best_effort("recording usage"):
            self.usage.add(record, datetime.now(UTC))


def _records(admitted: AdmittedEmbedding, *, is_error: bool) -> Iterator[UsageRecord]:
    """A sum for each deployment that has answered, the first of which is the request, and each call that was lost."""
    by_deployment: dict[str, list[EmbeddingBatch]] = {}
    for batch in admitted.batches:
        if batch.answered is not None:
            by_deployment.setdefault(batch.answered.deployment.id, []).append(batch)
    for position, several in enumerate(by_deployment.values()):
        answered = several[0].answered
        if answered is not None:
            used = Usage(sum(each.used.prompt_tokens for each in several), 0)
            cost = _cost_nanousd(several) or 0
            is_first = position == 0
            yield _record(
                admitted, answered.deployment, used, cost, is_request=is_first, is_error=is_error and is_first
            )
    for lost in (each for batch in admitted.batches for each in batch.lost):
        cost = price_nanousd(lost.deployment, lost.usage)
        yield _record(admitted, lost.deployment, lost.usage, cost, is_request=True, is_error=True)


def _record(
    admitted: AdmittedEmbedding,
    deployment: Deployment,
    usage: Usage,
    cost_nanousd: int,
    *,
    is_request: bool,
    is_error: bool,
) -> UsageRecord:
    record = record_of_call(admitted, deployment, usage, cost_nanousd, is_error=is_error)
    return record if is_request else replace(record, response_time_ms=0, requests=0)


def _cost_nanousd(batches: Iterable[EmbeddingBatch]) -> int | None:
    """What the batches that were answered cost, None if it is not known of one of them."""
    costs = [
        known_nanousd(each.answered.deployment, each.used, each.answered.answer.cost_usd)
        for each in batches
        if each.answered is not None
    ]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _provenance(admitted: AdmittedEmbedding, cost_nanousd: int | None, outcome: RequestOutcome | None) -> Provenance:
    """How the vectors came about. Of several deployments the first batch's is named."""
    answered = [each.answered for each in admitted.batches if each.answered is not None]
    first = answered[0].deployment if answered else None
    return Provenance(
        request_id=admitted.context.request_id,
        deployment=first.id if first else None,
        provider=first.provider.name if first else None,
        model=admitted.plan.model,
        attempts=sum(each.attempts for each in answered) if answered else None,
        cost_usd=to_usd(cost_nanousd) if cost_nanousd is not None and (outcome or cost_nanousd) else None,
        flagged_rules=tuple(dict.fromkeys(finding.rule_id for finding in admitted.findings)),
        caller_limit=admitted.counted.limit,
    )


def _note(
    admitted: AdmittedEmbedding,
    provenance: Provenance,
    used: Usage,
    outcome: RequestOutcome | None,
    reserved: Reserved | None,
) -> dict[str, Task]:
    """Note what the request came to; returns what is to be done with the rest: its record's write."""
    trace, now_ms = admitted.context.trace, time.time_ns() // 1_000_000
    trace.asked_model = admitted.plan.model
    noted = trace.settle(
        Settled(
            outcome=outcome,
            complexity="",
            cache="",
            guard_rules=provenance.flagged_rules,
            model=provenance.model or "",
            deployment=provenance.deployment or "",
            provider=provenance.provider or "",
            prompt_tokens=used.prompt_tokens,
            cost_nanousd=_cost_nanousd(admitted.batches) or 0,
            quota_used=reserved.quota_used(now_ms) if reserved else None,
            budget_used=reserved.budget_used(now_ms) if reserved else None,
        )
    )
    return dict(noted)
