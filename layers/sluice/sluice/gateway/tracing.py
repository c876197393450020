"""What the pipeline notes of a request in its trace."""

from collections.abc import Callable

from sluice.chat import ChatRequest, Usage
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import AdmittedRequest, user_of
from sluice.money import to_nanousd
from sluice.request_log.record import RequestOutcome
from sluice.request_log.trace import RequestTrace, Settled

WITHOUT_MODEL = "sluice"
"""In the place of a provider where no model was asked."""


def note_question(trace: RequestTrace, request: ChatRequest) -> None:
    """Note who asks, before anything can refuse it."""
    trace.user = user_of(request)
    trace.task = request.labels.task or ""
    trace.is_streamed = bool(request.stream)


def note_without_model(trace: RequestTrace, source: str) -> None:
    """Note that `source` has answered, and no model."""
    trace.settle(
        Settled(outcome=RequestOutcome.ANSWERED, complexity="", cache="hit", provider=WITHOUT_MODEL, model=source)
    )


def note_settled(
    admitted: AdmittedRequest, provenance: Provenance, usage: Usage, outcome: RequestOutcome | None
) -> dict[str, Callable[[], None]]:
    """Note what a question came to; returns what is to be done at once with its settlement: its record's write."""
    trace = admitted.context.trace
    trace.asked_model = admitted.plan.model
    return trace.settle(
        Settled(
            outcome=outcome,
            complexity=provenance.complexity or "",
            cache=provenance.cache or "",
            guard_rules=provenance.flagged_rules,
            model=provenance.model or "",
            deployment=provenance.deployment or "",
            provider=provenance.provider or "",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_nanousd=0 if provenance.cost_usd is None else to_nanousd(provenance.cost_usd),
        )
    )
