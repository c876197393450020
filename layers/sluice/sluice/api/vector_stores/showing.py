"""Stores and results as they are shown. Pure."""

import time
from typing import Any

from sluice.api.vector_stores.answer_types import (
    FileCounts,
    SearchResult,
    VectorStore,
)
from sluice.knowledge.search import Hit
from sluice.knowledge.vector_store import FileStatus
from sluice.knowledge.vector_store import VectorStore as StoreRecord


def counts_shown(counts: Any) -> FileCounts:
    """How many files there are of each status."""
    by_status = {str(status): max(0, counts.get(str(status), 0)) for status in FileStatus}
    return {
        "in_progress": by_status["in_progress"],
        "completed": by_status["completed"],
        "failed": by_status["failed"],
        "cancelled": by_status["cancelled"],
        "total": sum(by_status.values()),
    }


def shown_store(store: StoreRecord) -> VectorStore:
    """A store as it is shown."""
    counts = counts_shown(store.counts)
    is_busy = counts["in_progress"] or store.next is not None
    days = store.expires_after_days
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": store.name,
        "description": store.description,
        "usage_bytes": max(0, store.usage_bytes),
        "file_counts": counts,
        "status": "expired" if store.is_expired(time.time()) else "in_progress" if is_busy else "completed",
        "expires_after": None if days is None else {"anchor": "last_active_at", "days": days},
        "expires_at": store.expires_at,
        "last_active_at": store.last_active_at,
        "metadata": dict(store.metadata),
        "sluice": {
            "embedding_model": store.active.model,
            "dimensions": store.active.dimensions,
            "next_embedding_model": store.next.model if store.next else None,
        },
    }


def shown_result(hit: Hit) -> SearchResult:
    """What was found, as it is shown."""
    document = hit.document
    return {
        "file_id": document.source or document.id,
        "filename": document.title or document.id,
        "score": max(0.0, min(1.0, hit.score)),
        "attributes": dict(document.attributes),
        "content": [{"type": "text", "text": hit.text}],
        "sluice": {
            "document_id": document.id,
            "kind": document.kind,
            "url": document.url,
            "chunk": hit.chunk,
        },
    }
