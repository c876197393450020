"""A deployment is tried: its provider is asked for a word, as a request's would be, within the deployment's limits."""

import time
from collections.abc import Callable
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.catalog.money import to_usd
from sluice.chat import ChatRequest, Message, Usage
from sluice.errors import InvalidRequestError, NotFoundError, ProviderError
from sluice.gateway.settlement import price_nanousd
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry
from sluice.quota.request_size import RequestSize
from sluice.request_log.record import Attempted
from sluice.request_log.trace import failure_name
from sluice.request_log.why import failed_in_words, passed_over_in_words
from sluice.routing.deadline import Deadline
from sluice.routing.router import AttemptState, Router, Search

_LONGEST_S = 20.0
_QUESTION = "Answer with the word yes."
_MOST_TOKENS = 16


class DeploymentTrial(TypedDict):
    """What came of a test: it counts against the deployment's limits, and against no tenant's."""

    object: Literal["deployment.test"]
    deployment: str
    passed: bool
    says: Annotated[str, Field(description="What came of it, in words.")]
    time_ms: Annotated[int | None, Field(description="How long the provider took; null if it was not asked.")]
    cost_usd: Annotated[float, Field(description="What its tokens cost, about; nobody is charged for it.")]


class Trials:
    """Tries deployments. Threads may share it. `router` asks once, and does not wait."""

    def __init__(self, registry: Callable[[], Registry], router: Router) -> None:
        self._registry = registry
        self._router = router

    def run(self, deployment_id: str, tenant: str) -> DeploymentTrial:
        """Ask a deployment for a word, for `tenant`.

        NotFoundError if there is none such, InvalidRequestError for one that does not chat.
        """
        deployment = self._deployment(deployment_id)
        request = ChatRequest(
            model=deployment.model.id,
            messages=[Message(role="user", content=_QUESTION)],
            max_tokens=_MOST_TOKENS,
        )
        deadline = Deadline.after(_LONGEST_S)
        search = Search(
            request=request,
            size=RequestSize.of(request),
            tenant=tenant,
            groups=((deployment,),),
            deadline=deadline,
            registry=self._registry(),
        )
        failed: list[Attempted] = []
        for attempt in self._router.attempts(search):
            with attempt:
                attempt.begin_call()
                started_s = time.monotonic()
                timeout_s = min(deployment.provider.timeout_s, deadline.remaining_s)
                try:
                    reply = attempt.provider.complete(request, deployment.model.id, timeout_s)
                except ProviderError as error:
                    took_ms = max(1, round((time.monotonic() - started_s) * 1000))
                    failed.append(Attempted(deployment.id, failure_name(error), took_ms, error.status or 0))
                    raise
                answered = attempt.answered(reply)
            if attempt.state is AttemptState.ANSWERED:
                chat = answered.answer.chat
                usage = chat.usage or Usage(answered.estimate.prompt_tokens, answered.estimate.completion_tokens)
                self._router.quota.settle(answered, usage, sum(map(len, chat.texts)), answered.answer.rate_limits)
                time_ms = round(answered.response_time_ms)
                return {
                    **_named(deployment),
                    "passed": True,
                    "says": f"{deployment.id} answered in {time_ms} ms.",
                    "time_ms": time_ms,
                    "cost_usd": float(to_usd(price_nanousd(deployment, usage))),
                }
        return _not_answered(deployment, search, failed)

    def _deployment(self, deployment_id: str) -> Deployment:
        found = {each.id: each for each in self._registry().deployments}.get(deployment_id)
        if found is None:
            raise NotFoundError(f"There is no deployment {deployment_id!r}.", param="deployment")
        if found.model.vectors is not None:
            message = f"deployment: {deployment_id} makes embeddings; POST /v1/embeddings with its model tries it."
            raise InvalidRequestError(message, param="deployment")
        return found


def _not_answered(deployment: Deployment, search: Search, failed: list[Attempted]) -> DeploymentTrial:
    if failed:
        says = f"{failed_in_words(failed[-1])}."
    else:
        reason = dict(search.reasons).get(deployment.id, "not asked")
        says = f"{passed_over_in_words(Attempted(deployment.id, reason))}. Its provider was not asked."
    time_ms = failed[-1].time_ms if failed else None
    return {**_named(deployment), "passed": False, "says": says, "time_ms": time_ms, "cost_usd": 0.0}


class _Named(TypedDict):
    object: Literal["deployment.test"]
    deployment: str


def _named(deployment: Deployment) -> _Named:
    return {"object": "deployment.test", "deployment": deployment.id}
