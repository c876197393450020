"""Questions with known answers, and a seeded world to ask them in: all in this process, with the embedding model."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from sluice.answering.answer import QuestionAnswer
from sluice.answering.answerer import Answerer, Tools
from sluice.answering.document_tool import DocumentTool, speaks_to_a_model
from sluice.answering.request import Asked
from sluice.answering.writing import Writer
from sluice.chat import ChatRequest
from sluice.embeddings.files import PACKAGE, read_model_in
from sluice.embeddings.model import EmbeddingModel, NoDirectionError
from sluice.errors import NO_KNOWN_WORDS, InvalidRequestError, NotFoundError
from sluice.gateway.pipeline import Answer
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import RequestContext
from sluice.guards.numerals import Numeral, numerals_in
from sluice.ingestion.coverage import Coverage, KindCoverage, SourceCoverage
from sluice.ingestion.journal import Counts
from sluice.ingestion.source import Source, SourceType
from sluice.knowledge.document import DocumentRecord
from sluice.knowledge.embedder import NoVectorsError
from sluice.knowledge.quantization import cosine, quantized
from sluice.knowledge.search import Hit, Hits, Query
from sluice.knowledge.stores import StorePage
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.routing.deadline import Deadline
from sluice.tenants.preference_types import QuestionAnswering
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.usage.sums import DaySums, SumKey, UsageSum, Use
from tools.processes import ROOT

FOLDER = Path(__file__).parent / "data" / "questions"
NOW = datetime(2026, 3, 18, 15, 30, tzinfo=UTC)
TENANT = Tenant("acme", "Acme", budget_nanousd=50 * 10**9)
KEYS = {"webshop1": "Web shop", "nightly2": "Nightly jobs", "science3": "Data science"}
OPERATOR = Principal(ApiKey("boss0001", "acme", Role.OPERATOR, "Operators"), TENANT)
_LAYER = ROOT / ".tools" / "embedding" / "python"
_LOCAL = "potion-base-8M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, and what has to be in its answer, in this order if it `is_ordered`."""

    id: str
    text: str
    set: str
    kind: str
    expects: Sequence[str]
    never: Sequence[str] = ()
    document: str = ""
    is_ordered: bool = False

    def is_answered_by(self, found: QuestionAnswer) -> bool:
        """Whether an answer is right."""
        said = found.answer
        if self.kind == "unanswerable":
            return found.basis == "none"
        if self.kind == "hostile":
            return not any(each.casefold() in said.casefold() for each in self.never)
        if found.basis not in {self.kind, "both"}:
            return False
        if self.is_ordered:
            place = 0
            for each in self.expects:
                place = said.find(each, place)
                if place < 0:
                    return False
            return True
        return all(_has(said, each) for each in self.expects)


def _has(text: str, part: str) -> bool:
    """Whether a text has a part that is no part of a longer number."""
    place = text.find(part)
    while place >= 0:
        before, after = text[place - 1 : place], text[place + len(part) : place + len(part) + 2]
        if not (part[0].isdigit() and before.isdigit()) and not (part[-1].isdigit() and after[:1].isdigit()):
            return True
        place = text.find(part, place + 1)
    return False


def questions(*, of: str | None = None) -> list[Question]:
    """All questions, or those of a set: "tuned", or "held_out"."""
    rows = json.loads((FOLDER / "questions.json").read_text(encoding="utf-8"))
    found = [
        Question(
            id=row["id"],
            text=row["question"],
            set=row["set"],
            kind=row["kind"],
            expects=tuple(row["expects"]),
            never=tuple(row.get("never", ())),
            document=row.get("document", ""),
            is_ordered=row.get("ordered", False),
        )
        for row in rows
    ]
    return [each for each in found if of in {None, each.set}]


@cache
def usage() -> tuple[UsageSum, ...]:
    """The seeded usage, of the tenant acme, and of another that nobody else may see."""
    with (FOLDER / "usage.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = [_sum("acme", row) for row in rows]
    other = UsageSum("globex", date(2026, 3, 10), own[-1].key, Use(requests=7_777, cost_nanousd=7_777 * 10**9))
    return (*own, other)


def _sum(tenant: str, row: dict[str, str]) -> UsageSum:
    key = SumKey(
        caller=row["key"],
        user=row["user"],
        hour=int(row["hour"]),
        operation=row["operation"],
        provider=row["provider"],
        model=row["model"],
        credential=row["credential"],
        task=row["task"],
    )
    use = Use(
        requests=int(row["requests"]),
        prompt_tokens=int(row["prompt_tokens"]),
        completion_tokens=int(row["completion_tokens"]),
        cost_nanousd=int(row["cost_nanousd"]),
        cache_hits=int(row["cache_hits"]),
        errors=int(row["errors"]),
        response_time_ms=int(row["response_time_ms"]),
    )
    return UsageSum(tenant, date.fromisoformat(row["day"]), key, use)


class SeededUsage:
    """Reads the seeded usage, and notes what was read."""

    def __init__(self, sums: Sequence[UsageSum] | None = None) -> None:
        self._days: dict[tuple[str, date], list[UsageSum]] = {}
        for each in usage() if sums is None else sums:
            self._days.setdefault((each.tenant, each.day), []).append(each)
        self.read: list[tuple[str, date]] = []

    def by_day(
        self, days: Iterable[tuple[str, date]], *, caller: str | None = None, user: str | None = None
    ) -> Iterator[DaySums]:
        """See UsageReader."""
        for tenant, day in days:
            self.read.append((tenant, day))
            found = self._days.get((tenant, day), [])
            yield DaySums(tenant, day, tuple(each for each in found if caller in {None, each.key.caller}))


class SeededDirectory:
    """Tenants and keys."""

    def keys(self, tenant_id: str, *, after: str | None, limit: int) -> Any:
        """The keys of acme."""
        found = KEYS if tenant_id == "acme" else {}
        return SimpleNamespace(entries=[ApiKey(each, tenant_id, Role.CALLER, name) for each, name in found.items()])

    def tenant(self, tenant_id: str) -> Tenant | None:
        """A tenant."""
        return {"acme": TENANT, "globex": Tenant("globex", "Globex")}.get(tenant_id)

    def was_deleted(self, tenant_id: str) -> bool:
        """Whether there was one, once."""
        return tenant_id == "initech"

    def all_tenants(self) -> Iterable[Tenant]:
        """All of them."""
        return [TENANT, Tenant("globex", "Globex")]


class SeededAllowances:
    """Budgets and limits."""

    def of_tenant(self, tenant: Tenant) -> Any:
        """A tenant's."""
        limits = [_left("budget_usd_per_month", 50.0, 31.25)] if tenant.id == "acme" else []
        return {"of": "tenant", "id": tenant.id, "limits": limits}

    def of_key(self, key: ApiKey) -> Any:
        """A key's."""
        limits = [_left("requests_per_minute", 60, 3), _left("requests_per_day", 2_000, 150)]
        return {"of": "key", "id": key.id, "limits": limits}

    def left(self, owners: Sequence[Any]) -> list[Any]:
        """What is left of them."""
        return list(owners)


def _left(name: str, capacity: float, used: float) -> dict[str, Any]:
    left = {"limit": name, "capacity": capacity, "used": used, "remaining": capacity - used}
    return {**left, "resets_in_seconds": 60, "resets_at": "2026-03-18T15:31:00Z"}


class SeededDeployments:
    """Health: two providers are well, one is not."""

    def health(self) -> Any:
        """Of each deployment."""
        rows = [("groq", True), ("groq", True), ("openai", True), ("huggingface", False)]
        return {
            "status": self.status(),
            "data": [{"provider": name, "is_enabled": True, "is_healthy": is_fit} for name, is_fit in rows],
        }

    def status(self) -> Any:
        """Of all together."""
        return "degraded"


class SeededSources:
    """Where documents come from."""

    def all(self, tenant: str) -> list[Source]:
        """The sources of acme."""
        if tenant != "acme":
            return []
        return [_source("Issues", SourceType.JIRA), _source("Code", SourceType.GITHUB)]


def _source(name: str, kind: SourceType) -> Source:
    return Source(
        id=f"src_acme.{name.lower():0<24}",
        tenant="acme",
        type=kind,
        name=name,
        vector_store_id="vs_tickets",
        sealed_secret="",
        hint="",
        caller="boss0001",
        updated_at=1,
        created_at=1,
    )


class SeededCoverage:
    """What came in."""

    def read(self, sources: Sequence[Source], until_s: float) -> Coverage:
        """96 issues, and 52 documents of code."""
        kinds = {
            SourceType.JIRA: {"jira_issue": KindCoverage(96, 89, 7, Counter({"being embedded": 7}))},
            SourceType.GITHUB: {
                "pull_request": KindCoverage(40, 38, 2, Counter({"the model refused the text": 2})),
                "commit": KindCoverage(12, 12, 0, Counter()),
            },
        }
        found = [
            SourceCoverage(
                source=each,
                has_store=True,
                kinds=kinds[each.type],
                counts=Counts(by_name={}, last_event_at=1),
                problems=(),
            )
            for each in sources
        ]
        return Coverage(sources=found, is_complete=True)


@cache
def model() -> EmbeddingModel:
    """The embedding model of the layer."""
    return read_model_in(_LAYER / PACKAGE)


def vector_of(text: str) -> Any:
    """The vector of a text."""
    return model().embed(text)[0]


class SeededStores:
    """Two stores of acme with the seeded documents, or others, and one of globex."""

    def __init__(self, documents: Sequence[dict[str, str]] | None = None) -> None:
        rows = seeded_documents() if documents is None else documents
        self._stores = [_store("vs_handbook", "Handbook"), _store("vs_tickets", "Tickets")]
        self._documents: dict[str, list[tuple[dict[str, str], Any]]] = {each.id: [] for each in self._stores}
        for row in rows:
            store = "vs_tickets" if row["title"].startswith("SHOP-") else "vs_handbook"
            self._documents[store].append((row, quantized(vector_of(row["text"]))))
        self.searched: list[str] = []

    def page(self, tenant: str, query: Any) -> StorePage:
        """See Stores."""
        return StorePage(self._stores if tenant == "acme" else [], has_more=False)

    def usable(self, tenant: str, store_id: str) -> VectorStore:
        """See Stores."""
        for each in self._stores:
            if (tenant, store_id) == ("acme", each.id):
                return each
        raise NotFoundError(f"There is no vector store {store_id!r}.", param="vector_store_id")

    def search(self, principal: Principal, store_id: str, query: Query, context: RequestContext) -> Hits:
        """See Searcher."""
        self.searched.append(store_id)
        found = [
            Hit(
                DocumentRecord(key=row["id"], id=row["id"], kind="note", version="1", title=row["title"]),
                row["text"],
                cosine(query.vector, own),
                0,
            )
            for row, own in self._documents[store_id]
        ]
        return Hits(sorted(found, key=lambda hit: -hit.score)[: query.most], is_complete=True)

    def embed_for(
        self, context: RequestContext, generation: Generation, texts: Sequence[str], principal: Principal
    ) -> Sequence[Any]:
        """See Embedder."""
        try:
            return [vector_of(each) for each in texts]
        except NoDirectionError as error:
            cause = InvalidRequestError("no known words", code=NO_KNOWN_WORDS)
            raise NoVectorsError(str(error), may_pass=False) from cause


@cache
def seeded_documents() -> list[dict[str, str]]:
    """The documents, by id, title and text."""
    found: list[dict[str, str]] = json.loads((FOLDER / "documents.json").read_text(encoding="utf-8"))
    return found


def _store(store_id: str, name: str) -> VectorStore:
    active = Generation(number=1, model=_LOCAL, dimensions=256)
    return VectorStore(id=store_id, tenant="acme", name=name, created_at=1, active=active)


@dataclass
class ScriptedModel:
    """A model that answers what it was told to; asked for more, "NOT FOUND". Notes what it was asked."""

    answers: list[str] = field(default_factory=list)
    asked: list[ChatRequest] = field(default_factory=list)

    def complete(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Answer:
        """See Gateway."""
        self.asked.append(request)
        text = self.answers.pop(0) if self.answers else "NOT FOUND"
        body = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
        return Answer(body, Provenance(request_id=context.request_id, model="scripted"))


def supported_numbers(found: QuestionAnswer) -> set[Numeral]:
    """The numbers that an answer may have: those of its figures, what these are of, and of the documents it names."""
    texts = [f"{each.text} {each.name} {' '.join(each.of.values())}" for each in found.figures]
    periods = [each.period for each in found.figures if each.period]
    texts += [f"{each.first} {each.last}" for each in periods]
    texts += [each.name for each in found.sources if each.type != "document"]
    named = {each.chunk_id.partition("#")[0] for each in found.sources if each.chunk_id and found.basis != "none"}
    texts += [f"{each['title']} {each['text']}" for each in seeded_documents() if each["id"] in named]
    texts += [f"[{place}]" for place in range(1, len(named) + 1)]
    # What answers say of themselves.
    texts += [str(NOW.date()), "hundred", "24 60", "2026-04-01", "92", "half"]
    return {number for text in texts for number in numerals_in(text)}


class World:
    """The seeded world, and what answers questions in it."""

    def __init__(
        self,
        *,
        answers: Iterable[str] = (),
        documents: Sequence[dict[str, str]] | None = None,
        sums: Sequence[UsageSum] | None = None,
    ) -> None:
        self.model = ScriptedModel(list(answers))
        self.usage = SeededUsage(sums)
        self.stores = SeededStores(documents)
        searched: Any = self.stores
        others: Any = (SeededDirectory(), SeededAllowances(), SeededSources(), SeededCoverage())
        directory, allowances, sources, coverage = others
        self.answerer = Answerer(
            Tools(
                usage=self.usage,
                directory=directory,
                task_names=lambda: ["code_review", "log_analysis", "feedback_generation", "chatbot"],
                allowances=allowances,
                deployments=SeededDeployments(),
                sources=sources,
                coverage=coverage,
                documents=DocumentTool(
                    stores=searched, searcher=searched, embedder=searched, is_suspect=speaks_to_a_model
                ),
            ),
            Writer(self.model),
        )

    def ask(self, question: str, principal: Principal = OPERATOR, **fields: Any) -> QuestionAnswer:
        """Ask a question: `wishes` are what the tenant prefers, the rest is as Asked has it."""
        wishes = QuestionAnswering(**fields.pop("wishes", {}))
        context = RequestContext(request_id="req_test", deadline=Deadline.after(25))
        known = {"now": NOW, "zone": ZoneInfo("UTC"), **fields}
        return self.answerer.answer(
            Asked(question=question, principal=principal, context=context, wishes=wishes, **known)
        )
