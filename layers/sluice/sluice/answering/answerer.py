"""Answers questions: what the rules recognise is computed, for the rest documents are searched, and else there is none.

    recognise   the whole question, or its parts, by rules; what is asked for becomes a plan, never a text
    compute     tools read what the plan names, within what who asks may see, and code writes the answer
    search      what is left is looked for in documents; below the threshold nothing is found
    word        a model writes what documents say, or words anew what was computed; what does not hold is not used

docs/questions.md says it in full.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from sluice.answering.answer import Basis, DataSource, QuestionAnswer
from sluice.answering.checking import cited
from sluice.answering.confidence import COMPUTED
from sluice.answering.document_tool import DocumentTool, Judged, Search
from sluice.answering.figures import Figure, UsageOfPeriods
from sluice.answering.follow_ups import follow_ups
from sluice.answering.names import Names
from sluice.answering.passages import quotes
from sluice.answering.periods import Period
from sluice.answering.plan import Plan, StandingPlan, UsagePlan
from sluice.answering.recognising import Refusal, is_about_usage, periods_of, recognise, refused
from sluice.answering.request import Asked
from sluice.answering.standing import budget_answer, coverage_answer, health_answer, limits_answer, stores_answer
from sluice.answering.usage_tool import ReadsUsage, TooMuchUsageError, UsageTool
from sluice.answering.wording import Composed, Composer, Scope
from sluice.answering.words import clauses
from sluice.answering.writing import Writer
from sluice.gateway.allowances import Allowances
from sluice.gateway.provenance import Provenance
from sluice.ingestion.coverage import CoverageReader
from sluice.ingestion.source_store import SourceStore
from sluice.knowledge.stores import PageQuery
from sluice.loading.dataclass import dataclass
from sluice.operations.deployment_report import Healths, HealthStatus
from sluice.tenants.directory import Directory, no_tenant
from sluice.tenants.tenant import Role, Tenant
from sluice.usage.period import MOST_DAYS

_MOST_STORES = 20
_MOST_NEAREST = 3
_MOST_SENTENCES = {"brief": 1, "detailed": 3}
_ANSWERING_S = 5.0
_NOT_FOUND = "I found no answer in usage, limits or documents."
_NOT_SEARCHED = "Documents could not be searched."
_NOT_ALL_SEARCHED = "Not all documents could be searched."
_OWN_LIMITS = "Requests and tokens are limited by API key, and only your own key's limits are told."
_REST_NOT_FOUND = "For the rest of the question I found no answer."
_REFUSALS = {
    Refusal.FUTURE: "The period that is asked for has not begun: only what was used is known, not what will be.",
    Refusal.NOT_KEPT: "Usage is not kept for that long: the period that is asked for is too far back.",
    Refusal.TOO_LONG: f"That is a longer period than one question adds up: at most {MOST_DAYS} days.",
}
_TOO_MUCH = "There is too much usage in that period to add it up for one question: ask for a shorter one."
_FOR_ADMINS = "Other tenants are for admins to see, and who asks is none."
_FOR_OPERATORS = "That is for operators to see, and who asks is none."


class SeesDeployments(Protocol):
    """How the deployments do; see Overview."""

    def health(self) -> Healths:
        """Each of them."""

    def status(self) -> HealthStatus:
        """All together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What answers are made of."""

    usage: ReadsUsage
    directory: Directory
    task_names: Callable[[], Iterable[str]]
    allowances: Allowances
    deployments: SeesDeployments
    sources: SourceStore
    coverage: CoverageReader
    documents: DocumentTool


@dataclass(frozen=True, slots=True)
class _Part:
    """An answer to a part of a question. Without figures and sources it says why there is none."""

    composed: Composed
    sources: tuple[DataSource, ...]
    plan: Plan | None = None

    @property
    def is_answer(self) -> bool:
        return bool(self.sources)


class Answerer:
    """Answers questions of authenticated callers. Threads may share it. Raises SluiceError."""

    def __init__(self, tools: Tools, writer: Writer) -> None:
        self._tools = tools
        self._writer = writer

    def answer(self, asked: Asked) -> QuestionAnswer:
        """Answer one question."""
        asked = replace(asked, about=_tenant_of(asked, self._tools.directory))
        self._tools.documents.check(asked)
        usage = _Usage(asked, self._tools)
        whole = self._computed(asked, usage, asked.question)
        if whole is not None:
            return self._from_parts(asked, [whole], "")
        parts, left = [], list[str]()
        texts = clauses(asked.question)
        for text in texts if len(texts) > 1 else ():
            part = self._computed(asked, usage, text)
            if part is None:
                left.append(text)
            else:
                parts.append(part)
        return self._from_parts(asked, parts, "; ".join(left) if parts else asked.question)

    # ---- what is computed ----

    def _computed(self, asked: Asked, usage: "_Usage", text: str) -> _Part | None:
        """The answer to what the rules recognise; None if they do not."""
        try:
            plan = usage.recognise(text)
            if plan is None:
                return None
            if isinstance(plan, Refusal):
                return _Part(Composed(answer=_REFUSALS[plan], figures=()), ())
            return self._of_usage(asked, usage, plan) if isinstance(plan, UsagePlan) else self._standing(asked, plan)
        except TooMuchUsageError:
            return _Part(Composed(answer=_TOO_MUCH, figures=()), ())

    def _of_usage(self, asked: Asked, usage: "_Usage", plan: UsagePlan) -> _Part:
        if plan.dimension == "tenant" and asked.principal.role is not Role.ADMIN:
            return _Part(Composed(answer=_FOR_ADMINS, figures=()), ())
        before = plan.periods[0].before()
        # Where nothing is kept any more there was not nothing.
        is_deep = asked.wishes.analysisDepth == "advanced" and refused([before], asked.today) is None
        periods = [*plan.periods, *([before] if is_deep and plan.form == "total" else [])]
        scope = Scope(whose=usage.tool.whose, zone=str(asked.zone), today=asked.today)
        composer = Composer(usage=UsageOfPeriods(usage.tool.read(periods), asked.zone), names=usage.names, scope=scope)
        composed = composer.compose(plan)
        if is_deep:
            composed = composer.analysed(plan, composed)
        return _Part(composed, tuple(_usage_source(each) for each in plan.periods), plan)

    def _standing(self, asked: Asked, plan: StandingPlan) -> _Part:
        answer = {
            "budget": self._budget,
            "limits": self._limits,
            "health": self._health,
            "coverage": self._coverage,
            "stores": self._stores,
        }
        return answer[plan.topic](asked, plan)

    def _budget(self, asked: Asked, plan: StandingPlan) -> _Part:
        allowances, principal = self._tools.allowances, asked.principal
        tenant = _about(asked)
        owners = [allowances.of_tenant(tenant)]
        if tenant.id == principal.tenant.id:
            owners.append(allowances.of_key(principal.key))
        composed = budget_answer(allowances.left(owners), asked.now.date())
        return _Part(composed, (DataSource(type="budget", name="Budgets", link="/v1/budget"),), plan)

    def _limits(self, asked: Asked, plan: StandingPlan) -> _Part:
        if _about(asked).id != asked.principal.tenant.id:
            return _Part(Composed(answer=_OWN_LIMITS, figures=()), ())
        allowances = self._tools.allowances
        [own] = allowances.left([allowances.of_key(asked.principal.key)])
        return _Part(
            limits_answer(own, plan.window), (DataSource(type="limits", name="Limits", link="/v1/budget"),), plan
        )

    def _health(self, asked: Asked, plan: StandingPlan) -> _Part:
        source = (DataSource(type="health", name="Providers' health", link="/api/groq/health"),)
        if asked.principal.role.includes(Role.OPERATOR):
            rows = self._tools.deployments.health().get("data", [])
            return _Part(health_answer(rows, plan.name, only_bad=plan.only_bad), source, plan)
        status = self._tools.deployments.status()
        text = f"All providers together are {status} now. Which of them is how is for operators to see."
        return _Part(Composed(answer=text, figures=()), source, plan)

    def _coverage(self, asked: Asked, plan: StandingPlan) -> _Part:
        if not asked.principal.role.includes(Role.OPERATOR):
            return _Part(Composed(answer=_FOR_OPERATORS, figures=()), ())
        sources = self._tools.sources.all(_about(asked).id)
        until_s = time.monotonic() + max(0.0, asked.context.deadline.remaining_s - _ANSWERING_S)
        composed = coverage_answer(self._tools.coverage.read(sources, until_s), plan.name, only_missing=plan.only_bad)
        return _Part(composed, (DataSource(type="coverage", name="Ingestion", link="/v1/ingest/coverage"),), plan)

    def _stores(self, asked: Asked, plan: StandingPlan) -> _Part:
        page = self._tools.documents.stores.page(_about(asked).id, PageQuery(limit=_MOST_STORES))
        composed = stores_answer(page.stores, has_more=page.has_more)
        return _Part(composed, (DataSource(type="stores", name="Vector stores", link="/v1/vector_stores"),), plan)

    # ---- the whole answer ----

    def _from_parts(self, asked: Asked, parts: Sequence[_Part], left: str) -> QuestionAnswer:
        """The answer of all parts, with what documents say of what is `left`."""
        threshold = asked.wishes.confidenceThreshold
        answered = [each for each in parts if each.is_answer]
        if answered and threshold > COMPUTED:
            return QuestionAnswer(answer=_NOT_FOUND, basis="none", confidence=COMPUTED)
        why_not = [each.composed.answer for each in parts if not each.is_answer]
        search = self._tools.documents.find(asked, left) if left else Search()
        if search.errors and not answered and (asked.stores or not search.searched):
            raise search.errors[0]
        judged = search.judged
        best = judged[0].confidence if judged else 0.0
        is_found = bool(judged) and best >= threshold
        texts, sources, figures, provenance = list[str](), list[DataSource](), list[Figure](), None
        if answered:
            text, own, provenance = self._worded(asked, answered)
            texts.append(text)
            figures += own
            sources += dict.fromkeys(source for each in answered for source in each.sources)
        if is_found:
            text, own_sources, of_documents = self._from_documents(asked, left, judged)
            texts.append(text)
            sources += own_sources
            provenance = of_documents or provenance
        texts += why_not
        if left and not is_found:
            texts.append(_REST_NOT_FOUND if parts else _NOT_FOUND)
        if search.errors and not is_found:
            texts.append(_NOT_ALL_SEARCHED if search.searched else _NOT_SEARCHED)
        if not answered and not is_found:
            sources += [_document_source(each) for each in judged[:_MOST_NEAREST]]
        return QuestionAnswer(
            answer=" ".join(texts),
            basis=_basis(bool(answered), is_found),
            confidence=min(
                [*([COMPUTED] if answered else []), *([best] if is_found or not answered else [])], default=0.0
            ),
            sources=sources,
            figures=figures,
            follow_ups=[question for each in answered[:1] if each.plan for question in follow_ups(each.plan)],
            provenance=provenance,
        )

    def _worded(self, asked: Asked, parts: Sequence[_Part]) -> tuple[str, list[Figure], Provenance | None]:
        """What was computed, in words: code's, or a model's where the tenant wants them its own way."""
        composed = [each.composed for each in parts]
        figures = [figure for each in composed for figure in (*each.figures, *each.further_figures)]
        style = asked.wishes.responseStyle
        # Each once, also where several parts have it.
        told = dict.fromkeys(note for each in composed for note in each.notes)
        notes = " ".join(told) if style == "detailed" else ""
        text = " ".join(" ".join(filter(None, [each.answer, each.further])) for each in composed)
        provenance = None
        if asked.wishes.customPrompts and figures:
            written = self._writer.reworded(asked, asked.question, text, [f for each in composed for f in each.figures])
            provenance = written.provenance
            text = written.text or text
        return " ".join(filter(None, [text, notes])), figures, provenance

    def _from_documents(
        self, asked: Asked, question: str, judged: Sequence[Judged]
    ) -> tuple[str, list[DataSource], Provenance | None]:
        """What documents say, in a model's words if these hold, else in their own."""
        threshold = asked.wishes.confidenceThreshold
        likely = [each for each in judged if each.confidence >= threshold][:_MOST_NEAREST]
        written = self._writer.from_passages(asked, question, [each.passage for each in likely])
        if written.text is not None:
            return (
                written.text,
                [_document_source(likely[each - 1]) for each in cited(written.text)],
                written.provenance,
            )
        most = _MOST_SENTENCES[asked.wishes.responseStyle]
        said = quotes(question, likely[0].passage, most) or list(likely[0].passage.sentences[:1])
        quoted = " ".join(said)
        return f"\u201c{quoted}\u201d [1]", [_document_source(likely[0])], written.provenance


class _Usage:
    """The usage that one question is about, and the names in it."""

    def __init__(self, asked: Asked, tools: Tools) -> None:
        self._asked = asked
        self.tool = UsageTool(asked, tools.usage, tools.directory, tools.task_names)
        self.names = Names()
        self._is_begun = False
        self._is_too_much = False

    def recognise(self, text: str) -> Plan | Refusal | None:
        """What a text asks for, with names as usage has them; None if that is not known."""
        today = self._asked.today
        known = partial(recognise, text, today)
        if not self._is_begun:
            self.names = self.tool.known_names()
            self._is_begun = True
        found = known(self.names)
        if found is not None or self._is_too_much or not is_about_usage(text):
            return found
        for periods in (periods_of(text, today), (Period(today.replace(day=1), today),)):
            if refused(periods, today) is None:
                try:
                    self.tool.add_names(self.names, self.tool.read(periods))
                except TooMuchUsageError:
                    # Nobody knows yet that the question is about usage: documents may answer it.
                    self._is_too_much = True
                    return None
                found = known(self.names)
                if found is not None:
                    return found
        return None


def _tenant_of(asked: Asked, directory: Directory) -> Tenant | None:
    """The tenant that is asked about, None for a deleted one. Raises NotFoundError for what never was, or is not seen.

    The first admin key's own tenant is in no directory.
    """
    own = asked.principal.tenant
    if asked.tenant is None or asked.tenant == own.id:
        return own
    if asked.principal.role is Role.ADMIN:
        found = directory.tenant(asked.tenant)
        if found is not None or directory.was_deleted(asked.tenant):
            return found
    error = no_tenant(asked.tenant)
    error.param = "context.tenant"
    raise error


def _about(asked: Asked) -> Tenant:
    """The tenant that is asked about. Raises NotFoundError for a deleted one: it has no budget and no stores."""
    if asked.about is None:
        raise no_tenant(asked.tenant)
    return asked.about


def _basis(is_computed: bool, is_in_documents: bool) -> Basis:
    if is_computed:
        return "both" if is_in_documents else "computed"
    return "documents" if is_in_documents else "none"


def _usage_source(period: Period) -> DataSource:
    link = f"/v1/usage?from={period.first}&to={period.last}&group_by=day,model"
    return DataSource(type="usage", name=f"Usage from {period.first} to {period.last}", link=link)


def _document_source(judged: Judged) -> DataSource:
    chunk = judged.passage.chunk
    return DataSource(
        type="document",
        name=chunk.title[:256],
        link=chunk.link,
        chunk_id=chunk.id,
        vector_store_id=chunk.store,
        score=round(judged.confidence, 4),
    )
