"""Narratives: findings told in a few sentences by a model, which is no source of numbers.

A model is sent the findings in words and asked for a text. What it says is held against them: a text with a number that
is in none of them is not shown.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from sluice.errors import SluiceError
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import RequestContext
from sluice.guards.numerals import numerals_in
from sluice.insights.agent import Agent
from sluice.insights.finding import Finding
from sluice.loading.dataclass import dataclass
from sluice.tasks.running import Runner, TaskRequest
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.principal import Principal

TASK = "insight_narrative"
_MOST_FACTS = 20
_MOST_CHARACTERS = 600
_SHOWN_NUMBERS = 5

type NarrativeStatus = Literal["written", "off", "nothing_found", "dropped", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrative:
    """A text about findings, or why there is none. `provenance` says how it came about, where a model was asked."""

    status: NarrativeStatus
    text: str | None = None
    reason: str | None = None
    provenance: Provenance | None = None


class Narrator:
    """Tells of findings. Threads may share it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def tell(
        self, findings: Sequence[Finding], agent: Agent, principal: Principal, context: RequestContext
    ) -> Narrative:
        """A text about some findings. What keeps a model from writing it is said, and raised to nobody."""
        facts = facts_of(findings)
        if not facts:
            return Narrative(status="nothing_found")
        inputs: dict[str, JsonValue] = {"findings": list(facts), "style": agent.style, "wishes": list(agent.wishes)}
        try:
            result = self._runner.run(TASK, TaskRequest(inputs=inputs), principal, context)
        except SluiceError as error:
            return Narrative(status="unavailable", reason=error.message)
        return checked(str(result.body["output"]), facts, result.provenance)


def facts_of(findings: Sequence[Finding]) -> list[str]:
    """Findings in words, those first that matter most; a recommendation says again what it follows from."""
    told = [finding for finding in findings if finding.insight_type != "recommendation"]
    facts = [f"{each.title} ({each.insight_type}, {each.priority} priority). {each.description}" for each in told]
    return [fact[:_MOST_CHARACTERS] for fact in facts[:_MOST_FACTS]]


def checked(text: str, facts: Sequence[str], provenance: Provenance | None = None) -> Narrative:
    """A text as it may be shown: not with a number that is in none of the facts."""
    # "One thing to look at" and "first of all" are no figures.
    said = {each for each in numerals_in(text) if each[0] != "loose"}
    unknown = said - numerals_in("\n".join(facts))
    if unknown:
        emit_metric("NarrativeDropped")
        shown = ", ".join(sorted(f"{value}" for _, value in unknown)[:_SHOWN_NUMBERS])
        return Narrative(
            status="dropped",
            reason=f"The model wrote numbers that are in none of the insights: {shown}.",
            provenance=provenance,
        )
    return Narrative(status="written", text=text.strip(), provenance=provenance)
