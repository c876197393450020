"""Vector stores, and what is found in them: /v1/vector_stores."""

from dataclasses import replace
from typing import Any

from sluice.api.listing import listed
from sluice.api.route import Call, PathParameter, Routes
from sluice.api.vector_stores.answer_types import DeletedVectorStore, Quality, SearchResults, VectorStore, VectorStores
from sluice.api.vector_stores.attaching import chunking_of, new_files, store_of
from sluice.api.vector_stores.request_models import (
    ChangeVectorStore,
    CreateVectorStore,
    PageParameters,
    SearchVectorStore,
)
from sluice.api.vector_stores.showing import shown_result, shown_store
from sluice.errors import ConflictError, InvalidRequestError
from sluice.knowledge.creating import NewStore
from sluice.knowledge.filters import read_filter
from sluice.knowledge.quality import look_at
from sluice.knowledge.search import Query
from sluice.tenants.tenant import Role

ROUTES = Routes("Vector stores")

STORE_ID = {"vector_store_id": PathParameter("The store's id.", "vs_019a0000000000000000000000000000")}


@ROUTES.post(
    "/v1/vector_stores",
    role=Role.CALLER,
    example={"name": "Handbook", "metadata": {"team": "support"}},
    errors={404},
)
def create_vector_store(call: Call[CreateVectorStore]) -> VectorStore:
    """Make a vector store.

    OpenAI's API: its SDKs work with `/v1` as their base URL. A store is its tenant's: all its API keys find what is in
    it. `embedding_model` says whose vectors it has; without it the first model that a credential serves. Files that
    are named are read in the background; they have to be the API key's own.
    """
    asked, app = call.body, call.app
    chunking = chunking_of(asked.chunking_strategy)
    files = new_files(call, asked.file_ids or [], chunking, {})
    store = app.store_maker.create(
        call.principal,
        NewStore(
            name=asked.name or "",
            description=asked.description or "",
            metadata=asked.metadata or {},
            expires_after_days=asked.expires_after.days if asked.expires_after else None,
            model=asked.embedding_model or "",
            dimensions=asked.embedding_dimensions,
        ),
    )
    app.file_processor.attach(call.principal, store, files)
    return shown_store(app.stores.find(store.tenant, store.id))


@ROUTES.get("/v1/vector_stores", role=Role.CALLER)
def list_vector_stores(call: Call[None, PageParameters]) -> VectorStores:
    """List the tenant's vector stores, the latest first."""
    page = call.app.stores.page(call.principal.tenant.id, call.query.to_query())
    data = [shown_store(store) for store in page.stores]
    return listed(data, has_more=page.has_more)


@ROUTES.get("/v1/vector_stores/{vector_store_id}", role=Role.CALLER, parameters=STORE_ID)
def get_vector_store(call: Call) -> VectorStore:
    """Show a vector store."""
    return shown_store(store_of(call))


@ROUTES.post(
    "/v1/vector_stores/{vector_store_id}",
    role=Role.CALLER,
    parameters=STORE_ID,
    example={"name": "Handbook, 2026"},
    errors={409},
)
def change_vector_store(call: Call[ChangeVectorStore]) -> VectorStore:
    """Change a vector store.

    With another `embedding_model`, or with `remake_vectors`, the vectors of all its documents are made anew in the
    background. Until all are there the old ones answer; then the new ones do, all at once.
    """
    asked, store, stores = call.body, store_of(call), call.app.stores
    given = asked.model_fields_set
    values: dict[str, Any] = {}
    if asked.name is not None:
        values["name"] = asked.name
    if "metadata" in given:
        values["metadata"] = asked.metadata or {}
    if "expires_after" in given:
        values["expires_after_days"] = asked.expires_after.days if asked.expires_after else None
    if values and stores.change(store, values) is None:
        raise ConflictError("The vector store is being deleted.")
    if asked.embedding_model is None and asked.embedding_dimensions is not None:
        raise InvalidRequestError("embedding_dimensions: name the embedding_model as well.", param="embedding_model")
    model, dimensions = asked.embedding_model, asked.embedding_dimensions
    if model is None and asked.remake_vectors:
        model = store.active.model
        dimensions = store.active.dimensions if store.active.is_shortened else None
    if model is not None:
        call.app.rebuilder.begin(call.principal, store, model, dimensions, anew=asked.remake_vectors)
    return shown_store(stores.find(store.tenant, store.id))


@ROUTES.delete("/v1/vector_stores/{vector_store_id}", role=Role.CALLER, parameters=STORE_ID)
def delete_vector_store(call: Call) -> DeletedVectorStore:
    """Delete a vector store, and what is in it.

    Nothing is found in it any more from now on; texts and vectors are deleted in the background. Files stay.
    """
    store = store_of(call)
    call.app.store_cleaner.delete(call.principal, store)
    return {"id": store.id, "object": "vector_store.deleted", "deleted": True}


@ROUTES.post(
    "/v1/vector_stores/{vector_store_id}/search",
    role=Role.CALLER,
    parameters=STORE_ID,
    example={"query": "How long is parental leave?", "max_num_results": 5},
    is_counted_inside=True,
    errors={403},
)
def search_vector_store(call: Call[SearchVectorStore]) -> SearchResults:
    """Find the chunks of a vector store that mean what is asked.

    `query` is a text, or up to 20 of which any may be meant. Sluice's own are `vector`, one that was made by the
    store's model, and `document_id`, which finds what is like a document that is there. `filters` compare attributes,
    by `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in`, `nin`, and combine by `and` and `or`. Queries are not rewritten.
    """
    asked, app = call.body, call.app
    if asked.rewrite_query:
        raise InvalidRequestError(
            "rewrite_query: queries are not rewritten here; ask with false, or have a chat rewrite it first.",
            param="rewrite_query",
        )
    given = [name for name in ("query", "vector", "document_id") if getattr(asked, name) is not None]
    if len(given) != 1:
        had = " and ".join(given) if given else "none of them"
        raise InvalidRequestError(
            f"query: one of query, vector and document_id is wanted; there is {had}.", param="query"
        )
    texts = [asked.query] if isinstance(asked.query, str) else list(asked.query or [])
    options = asked.ranking_options
    query = Query(
        texts=texts,
        vector=asked.vector or [],
        document=asked.document_id or "",
        most=asked.max_num_results,
        filter=None if asked.filters is None else read_filter(asked.filters),
        kind=asked.kind or "",
        score_threshold=(options.score_threshold if options else None) or -1.0,
    )
    store_id, principal = call.path["vector_store_id"], call.principal
    if texts:
        found = app.searcher.search(principal, store_id, query, replace(call.context, operation="embedding"))
    else:
        counted = app.caller_counter.count(principal)
        with app.caller_counter.kept(counted):
            found = app.searcher.search(principal, store_id, query, replace(call.context, operation="embedding"))
    return {
        "object": "vector_store.search_results.page",
        "search_query": texts,
        "data": [shown_result(hit) for hit in found.hits],
        "has_more": False,
        "next_page": None,
        "sluice": {"is_complete": found.is_complete},
    }


@ROUTES.get("/v1/vector_stores/{vector_store_id}/quality", role=Role.CALLER, parameters=STORE_ID)
def show_vector_store_quality(call: Call) -> Quality:
    """Show what the vectors of a store are like.

    Sluice's own: how many documents have vectors of their newest text, and why others have none; vectors that can't be
    right; and those that are the same though their texts are not. Up to 5,000 vectors are looked at. Magnitudes are
    those of vectors as they are stored, whole numbers up to 127.
    """
    found = look_at(store_of(call), call.app.store_documents, call.app.vector_index)
    vectors = found.vectors
    return {
        "object": "vector_store.quality",
        "documents": found.documents,
        "coverage": found.coverage,
        "next_coverage": found.next_coverage,
        "lacking": [{"reason": reason, "documents": count} for reason, count in found.lacking.items()],
        "is_complete": found.is_complete,
        "total_embeddings": vectors.total_embeddings,
        "dimension_consistency": vectors.dimension_consistency,
        "expected_dimensions": vectors.expected_dimensions,
        "zero_vectors": vectors.zero_vectors,
        "zero_vector_rate": vectors.zero_vector_rate,
        "non_finite_vectors": vectors.non_finite_vectors,
        "avg_magnitude": vectors.avg_magnitude,
        "magnitude_std": vectors.magnitude_std,
        "duplicate_rate": vectors.duplicate_rate,
        "duplicate_text_rate": vectors.duplicate_text_rate,
        "quality_score": vectors.quality_score,
    }
