"""The tool that searches a tenant's vector stores, and judges what it finds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from typing import Protocol

from sluice.answering.confidence import LOCAL, OTHERS, Weights, probability
from sluice.answering.passages import Chunk, IsSuspect, Passage, fits, passage_of
from sluice.answering.request import Asked
from sluice.chat import Message
from sluice.embeddings.vectors import Vector
from sluice.errors import NO_KNOWN_WORDS, InvalidRequestError, SluiceError
from sluice.gateway.request import RequestContext
from sluice.guards.prompt import check_prompt
from sluice.guards.rules import Mode, rules
from sluice.knowledge.embedder import Embedder, NoVectorsError
from sluice.knowledge.search import Hit, Hits, Query, refused
from sluice.knowledge.stores import PageQuery, Stores
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.choices import check_enabled, is_enabled
from sluice.tenants.directory import no_tenant
from sluice.tenants.principal import Principal

logger = logging.getLogger(__name__)

MOST_STORES = 10
"""How many stores one question searches: those made last, where none is named."""
_LOCAL_MODEL = "potion-base-8M"
_MOST_HITS = 10
_JUDGED = 5
_MOST_CHARACTERS = 100_000


class Searches(Protocol):
    """Searches a store; see Searcher."""

    def search(self, principal: Principal, store_id: str, query: Query, context: RequestContext) -> Hits:
        """What is near."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A passage, and the probability that it answers the question."""

    passage: Passage
    confidence: float


@dataclass(slots=True)
class Search:
    """What a search found, the likeliest first, and what it failed of in stores that could not be searched."""

    judged: list[Judged] = field(default_factory=list)
    errors: list[SluiceError] = field(default_factory=list)
    searched: int = 0

    def note(self, error: SluiceError) -> None:
        """Go on without a store, or without all of one model."""
        logger.warning("a vector store could not be searched", extra={"reason": type(error).__name__})
        emit_metric("StoresNotSearched", reason=type(error).__name__)
        self.errors.append(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTool:
    """Searches stores. Threads may share it. Raises SluiceError."""

    stores: Stores
    searcher: Searches
    embedder: Embedder
    is_suspect: IsSuspect

    def check(self, asked: Asked) -> None:
        """Refuse stores that are named and can't be searched: other tenants' are not found."""
        if not asked.stores:
            return
        tenant = asked.about
        if tenant is None:
            raise no_tenant(asked.tenant)
        check_enabled("vector_stores", tenant)
        for place, store in enumerate(asked.stores):
            try:
                self.stores.usable(tenant.id, store)
            except SluiceError as error:
                error.param = f"context.vector_store_ids[{place}]"
                raise

    def find(self, asked: Asked, question: str) -> Search:
        """The passages that may answer a question; none where there is nothing to search.

        What can't be searched is noted, and the rest is searched all the same.
        """
        search = Search()
        if asked.about is None or not is_enabled("vector_stores", asked.about):
            return search
        by_model: dict[tuple[str, int], list[VectorStore]] = {}
        try:
            for store in self._searched(asked, asked.about.id):
                by_model.setdefault((store.active.model, store.active.dimensions), []).append(store)
        except SluiceError as error:
            search.note(error)
        for (model, _), own in by_model.items():
            search.judged += self._in_stores(asked, question, own, _weights(model), search)
        search.judged.sort(key=lambda each: -each.confidence)
        return search

    def _searched(self, asked: Asked, tenant: str) -> list[VectorStore]:
        if asked.stores:
            return [self.stores.usable(tenant, each) for each in dict.fromkeys(asked.stores)]
        now_s = asked.now.timestamp()
        page = self.stores.page(tenant, PageQuery(limit=MOST_STORES))
        return [each for each in page.stores if not each.is_expired(now_s)]

    def _in_stores(
        self, asked: Asked, question: str, stores: Sequence[VectorStore], weights: Weights, search: Search
    ) -> list[Judged]:
        """The passages of stores whose vectors are of one model: their cosines can be compared."""
        context = replace(asked.context, operation="embedding")
        try:
            vector = self._vector(asked, question, stores[0].active, context)
        except SluiceError as error:
            search.note(error)
            return []
        if vector is None:
            search.searched += len(stores)
            return []
        # The stores are those of the tenant that is asked about; who asks pays for the vector.
        reader = asked.principal if asked.about is None else replace(asked.principal, tenant=asked.about)
        found: list[Chunk] = []
        for store in stores:
            try:
                hits = self.searcher.search(reader, store.id, Query(vector=vector, most=_MOST_HITS), context)
            except SluiceError as error:
                search.note(error)
                continue
            search.searched += 1
            found += [_chunk(store, hit) for hit in hits.hits]
        found.sort(key=lambda each: -each.score)
        passages = [passage_of(each, self.is_suspect) for each in found[:_JUDGED]]
        judged = zip(passages, fits(question, passages), strict=True)
        return [Judged(passage, probability(fit, weights) if passage.sentences else 0.0) for passage, fit in judged]

    def _vector(self, asked: Asked, question: str, generation: Generation, context: RequestContext) -> Vector | None:
        try:
            return self.embedder.embed_for(context, generation, [question], asked.principal)[0]
        except NoVectorsError as error:
            if isinstance(error.__cause__, InvalidRequestError) and error.__cause__.code == NO_KNOWN_WORDS:
                return None
            raise refused(error) from error


def speaks_to_a_model(text: str) -> bool:
    """Whether the guards' rules about instructions would block a text, were it a prompt."""
    found = check_prompt(
        [Message(role="user", content=text)], max_characters=_MOST_CHARACTERS, modes=_about_instructions()
    )
    return any(each.mode is Mode.BLOCK for each in found)


@cache
def _about_instructions() -> Mapping[str, Mode]:
    """The modes of rules as they are, but for those about what must not leave: a telephone number may be quoted."""
    return {rule.id: Mode.OFF for rule in rules() if rule.roles is None and not rule.is_fixed}


def _chunk(store: VectorStore, hit: Hit) -> Chunk:
    document = hit.document
    source = document.source or ""
    kept = f"/v1/vector_stores/{store.id}"
    return Chunk(
        store=store.id,
        document=document.id,
        number=hit.chunk,
        title=document.title or document.id,
        link=document.url or (f"{kept}/files/{source}/content" if source else kept),
        text=hit.text,
        score=hit.score,
    )


def _weights(model: str) -> Weights:
    return LOCAL if model == _LOCAL_MODEL else OTHERS
