"""Stores and files as requests name them."""

from dataclasses import replace
from functools import partial
from typing import Any

from sluice.api.files import owner_of
from sluice.api.route import Call
from sluice.api.vector_stores.request_models import AutoChunking, StaticChunking
from sluice.knowledge.at_once import at_once
from sluice.knowledge.attached_files import AttachedFile
from sluice.knowledge.chunking import Chunking
from sluice.knowledge.document import Attributes, check_attributes
from sluice.knowledge.vector_store import VectorStore as StoreRecord


def store_of(call: Call[Any, Any]) -> StoreRecord:
    """The store that a path names."""
    return call.app.stores.find(call.principal.tenant.id, call.path["vector_store_id"])


def chunking_of(given: AutoChunking | StaticChunking | None) -> Chunking:
    """How files are to be cut. Raises InvalidRequestError."""
    if not isinstance(given, StaticChunking):
        return Chunking()
    chunking = Chunking(
        max_tokens=given.static.max_chunk_size_tokens,
        overlap_tokens=given.static.chunk_overlap_tokens,
        is_auto=False,
    )
    chunking.check()
    return chunking


def new_files(
    call: Call[Any, Any], file_ids: list[str], chunking: Chunking, attributes: Attributes
) -> list[AttachedFile]:
    """Files of the caller's that are to be attached. Raises NotFoundError, InvalidRequestError."""
    check_attributes(attributes)
    owner, files = owner_of(call.principal), call.app.attached_files
    stored = at_once(partial(call.app.files.find, owner), dict.fromkeys(file_ids))
    return [
        replace(files.new(each.id, owner, each.filename), chunking=chunking, attributes=attributes) for each in stored
    ]
