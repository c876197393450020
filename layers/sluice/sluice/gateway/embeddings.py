"""Pipeline of a request for vectors: count -> judge -> plan -> cut -> reserve -> call -> settle, as a chat's.

    count     the caller, before anything is done for it
    judge     the texts, by the guard rules about what must not leave; no model follows them
    plan      the deployments of the one model that is named: another model's vectors can't stand in for its own
    cut       into batches that a call of any of them takes
    reserve   the budgets for all batches before the first is asked, and for each the quota of who is called next
    call      several batches at a time; a batch that fails is asked again alone, at the same deployment or the next
    settle    everything at once, whether all batches were answered or not

docs/decisions/0053-embeddings-are-asked-in-batches.md says why there is no cache.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from dataclasses import replace
from threading import Event

from sluice.chat import Usage
from sluice.embeddings.request import EmbeddingRequest
from sluice.embeddings.vectors import Vector, of_length_one
from sluice.errors import NO_KNOWN_WORDS, InvalidRequestError, ProviderProtocolError, SluiceError
from sluice.gateway.budget import BudgetReservation, CallCost, SpendDemand, Spent, has_budget, spend_scopes
from sluice.gateway.counting import CallerCounter
from sluice.gateway.embedding_batch import AdmittedEmbedding, EmbeddingBatch, LostCall
from sluice.gateway.embedding_settlement import EmbeddingSettlement
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import RequestContext
from sluice.gateway.settlement import price_nanousd
from sluice.gateway.tenant_settings import TenantSettings
from sluice.gateway.text_batches import BatchBounds, batches
from sluice.guards.prompt import check_texts, raise_if_blocked
from sluice.guards.rules import Finding
from sluice.loading.dataclass import dataclass
from sluice.providers.base import Provider, ProviderVectors
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry
from sluice.quota.estimate import TokenEstimate
from sluice.quota.ledger import Ledger
from sluice.quota.request_size import RequestSize, TextSize
from sluice.routing.embedding_plan import EmbeddingPlan, plan_embedding
from sluice.routing.plan import RoutingPolicy
from sluice.routing.router import AttemptState, Router, Search
from sluice.settings import Settings
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in the order of the texts, what they took, and how they came about."""

    vectors: Sequence[Vector]
    model: str
    usage: Usage
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingGateway:
    """Takes requests of authenticated callers to vectors. Safe to share between threads.

    `executor` does at once what can be; `batch_executor` asks several batches at once.
    """

    registry: Callable[[Tenant], Registry]
    callers: CallerCounter
    router: Router
    ledger: Ledger
    settlement: EmbeddingSettlement
    settings: Settings
    executor: Executor
    batch_executor: Executor

    def embed(
        self, request: EmbeddingRequest, principal: Principal, context: RequestContext, most_numbers: int
    ) -> Embeddings:
        """Make the vectors of a request, of so many numbers at most. Raises SluiceError.

        What was reserved and not used is given back.
        """
        admitted = self._admitted(request, principal, context, most_numbers)
        try:
            for batch in admitted.batches:
                # Before anything is spent: who can't pay for the last batch has no use for the first.
                batch.budget.wait()
            self._ask_all(admitted)
        except BaseException:
            self.settlement.settle_failed(admitted)
            raise
        used, provenance = self.settlement.settle(admitted)
        vectors = [vector for batch in admitted.batches for vector in batch.vectors]
        return Embeddings(vectors, admitted.plan.model, used, provenance)

    def check(self, request: EmbeddingRequest, principal: Principal, most_numbers: int) -> int:
        """Refuse what `embed` would refuse whatever is left of quotas, and spend nothing. Raises SluiceError.

        Returns what the request is estimated to cost, in billionths of a dollar.
        """
        self._judge(request, principal)
        plan = self._plan(request, principal)
        first, sizes = plan.deployments[0], [TextSize.of(text) for text in request.texts]
        _check_answer(len(request.texts) * plan.dimensions, most_numbers)
        self._cuts(plan.deployments, sizes)
        size = RequestSize.of_texts(sizes)
        return price_nanousd(first, self.router.quota.estimate(first, size))

    def _admitted(
        self, request: EmbeddingRequest, principal: Principal, context: RequestContext, most_numbers: int
    ) -> AdmittedEmbedding:
        """Count, judge, plan and cut a request, and begin to reserve its budgets. Raises SluiceError."""
        user, trace = principal.user_of(request.labels.user) or "", context.trace
        trace.user, trace.task = user, request.labels.task or ""
        counted = self.callers.count(principal, user)
        with self.callers.kept(counted):
            findings = self._judge(request, principal)
            plan = self._plan(request, principal)
            _check_answer(len(request.texts) * plan.dimensions, most_numbers)
            sizes = [TextSize.of(text) for text in request.texts]
            cuts = self._cuts(plan.deployments, sizes)
            texts = request.texts
            return AdmittedEmbedding(
                request=request,
                principal=principal,
                context=context,
                plan=plan,
                findings=findings,
                counted=counted,
                batches=tuple(
                    EmbeddingBatch(
                        texts=texts[cut],
                        first=cut.start,
                        size=(size := RequestSize.of_texts(sizes[cut])),
                        budget=self._budget(principal, user, plan.deployments, size),
                    )
                    for cut in cuts
                ),
            )

    def _judge(self, request: EmbeddingRequest, principal: Principal) -> tuple[Finding, ...]:
        findings = check_texts(request.texts, TenantSettings.of(principal.tenant, self.settings).guard_modes)
        raise_if_blocked(findings, param="input")
        return findings

    def _plan(self, request: EmbeddingRequest, principal: Principal) -> EmbeddingPlan:
        user = principal.user_of(request.labels.user) or ""
        policy = RoutingPolicy(allowed_models=principal.tenant.allowed_models, needs_price=has_budget(principal, user))
        return plan_embedding(request, self.registry(principal.tenant), policy)

    def _cuts(self, deployments: Sequence[Deployment], sizes: Sequence[TextSize]) -> list[slice]:
        """Which texts go together. Raises InvalidRequestError for what no deployments' limits have room for."""
        self._check_fits(deployments, RequestSize.of_texts(sizes))
        cuts = list(batches(sizes, BatchBounds.of(deployments)))
        calls = [self.router.quota.most_requests(each) for each in deployments]
        if None not in calls and len(cuts) > (most := sum(each for each in calls if each is not None)):
            # The first of them would be paid for, and again whenever the request is sent again.
            raise _over_limit(f"{len(cuts)} calls, and the deployments' limits have {most}")
        return cuts

    def _check_fits(self, deployments: Sequence[Deployment], size: RequestSize) -> None:
        """Raise InvalidRequestError for more tokens than all deployments' limits have: its last batch never had any."""
        limits = [self.router.quota.bounds(each).limit_tokens for each in deployments]
        most = sum(each for each in limits if each is not None)
        needed = size.prompt_tokens(self.router.quota.bounds(deployments[0]))
        if None not in limits and needed > most:
            raise _over_limit(f"about {needed} tokens, and the deployments' limits have {most}")

    def _budget(
        self, principal: Principal, user: str, deployments: Sequence[Deployment], size: RequestSize
    ) -> BudgetReservation:
        """Begin to reserve what the dearest deployment could cost the tenant, the key and the user."""
        scopes, quota = spend_scopes(principal, user), self.router.quota
        if not scopes:
            return BudgetReservation(self.ledger, (), self.executor)
        estimates = [quota.estimate(each, size) for each in deployments]
        priced = zip(deployments, estimates, strict=True)
        cost = CallCost(
            estimated_nanousd=max(price_nanousd(each, tokens) for each, tokens in priced),
            most_nanousd=max(price_nanousd(each, quota.upper_bound(each, size)) for each in deployments),
            tokens=max(estimates, key=_total_tokens),
            is_guess=False,
        )
        demands = [SpendDemand(scope, cost) for scope in scopes if scope.token_limits or cost.most_nanousd]
        return BudgetReservation(self.ledger, demands, self.executor)

    def _ask_all(self, admitted: AdmittedEmbedding) -> None:
        """Ask all batches, several at a time; none any more once one has failed for good, and that is raised then."""
        if len(admitted.batches) == 1:
            self._ask(admitted, admitted.batches[0])
            return
        ask, has_failed = self._ask_unless_failed, Event()
        running = [self.batch_executor.submit(ask, admitted, has_failed, batch) for batch in admitted.batches]
        wait(running)  # so that none is under way when the request is settled
        for each in running:
            each.result()

    def _ask_unless_failed(self, admitted: AdmittedEmbedding, has_failed: Event, batch: EmbeddingBatch) -> None:
        if has_failed.is_set():
            return
        try:
            self._ask(admitted, batch)
        except BaseException:
            has_failed.set()
            raise

    def _ask(self, admitted: AdmittedEmbedding, batch: EmbeddingBatch) -> None:
        """Ask one batch until a provider has answered. Raises SluiceError if nobody does."""
        context = admitted.context
        search = Search(
            request=admitted.request,
            size=batch.size,
            tenant=admitted.principal.tenant.id,
            groups=(admitted.plan.deployments,),
            deadline=context.deadline,
            registry=self.registry(admitted.principal.tenant),
            embeds=True,
        )
        try:
            for attempt in self.router.attempts(search):
                context.trace.skipped(search.reasons)
                deployment = attempt.deployment
                with attempt:
                    batch.budget.wait()
                    attempt.begin_call()
                    with context.trace.calling(deployment.id):
                        reply = _call(attempt.provider, deployment, admitted, batch)
                    batch.answered = attempt.answered(reply)
                if attempt.state is AttemptState.ANSWERED:
                    return
                if attempt.may_have_cost:
                    self._charge_failed(batch, deployment)
            raise search.verdict()
        except SluiceError as error:
            if error.code == "request_exceeds_limit":
                raise _over_limit("more than any deployment's limit has") from error
            if error.param == "messages" or error.code == NO_KNOWN_WORDS:
                error.param = "input"
            raise
        finally:
            batch.was_asked = search.was_asked
            context.trace.skipped(search.reasons)

    def _charge_failed(self, batch: EmbeddingBatch, deployment: Deployment) -> None:
        """Count what a call that failed may have cost: its provider may bill it as it was estimated."""
        estimate = self.router.quota.estimate(deployment, batch.size)
        usage = Usage(estimate.prompt_tokens, 0)
        batch.budget.charge(Spent(price_nanousd(deployment, usage), usage.total_tokens))
        batch.lost.append(LostCall(deployment, usage))


def _call(
    provider: Provider, deployment: Deployment, admitted: AdmittedEmbedding, batch: EmbeddingBatch
) -> ProviderVectors:
    timeout_s = min(deployment.provider.timeout_s, admitted.context.deadline.remaining_s)
    reply = provider.embed(admitted.as_asked(batch, deployment), deployment.model.id, timeout_s)
    vectors = deployment.model.vectors
    if vectors is None or not vectors.leaves_length or admitted.plan.dimensions == vectors.dimensions:
        return reply
    try:
        return replace(reply, vectors=tuple(map(of_length_one, reply.vectors)))
    except ValueError as error:
        raise ProviderProtocolError(f"the answer has a vector that can't be brought to length 1: {error}") from None


def _total_tokens(estimate: TokenEstimate) -> int:
    return estimate.total_tokens


def _check_answer(numbers: int, most: int) -> None:
    if numbers > most:
        raise InvalidRequestError(
            f"input: the answer would have {numbers} numbers, and at most {most} fit into one of this form: send fewer "
            "texts, or ask for base64, which is a quarter as long, or fewer dimensions.",
            param="input",
            code="answer_too_large",
        )


def _over_limit(what: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"input: this takes {what}: send fewer or shorter texts.", param="input", code="request_exceeds_limit"
    )
