"""Files of vector stores, and batches of them, as OpenAI's API has them."""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.listing import listed
from sluice.api.route import Call, PathParameter, Routes
from sluice.api.vector_stores.answer_types import FileCounts
from sluice.api.vector_stores.attaching import chunking_of, new_files, store_of
from sluice.api.vector_stores.request_models import MOST_FILES_OF_BATCH, AttributesBody, ChunkingBody, PageParameters
from sluice.api.vector_stores.routes import STORE_ID
from sluice.api.vector_stores.showing import counts_shown
from sluice.errors import InvalidRequestError
from sluice.knowledge.at_once import at_once
from sluice.knowledge.attached_files import AttachedFile, FileBatch
from sluice.knowledge.document import check_attributes, key_of
from sluice.knowledge.vector_store import FileStatus, VectorStore
from sluice.tenants.tenant import Role

ROUTES = Routes("Vector stores")

_FILES = "/v1/vector_stores/{vector_store_id}/files"
_BATCHES = "/v1/vector_stores/{vector_store_id}/file_batches"
_FILE_ID = {**STORE_ID, "file_id": PathParameter("The file's id.", "file-019a0000000000000000000000000000")}
_BATCH_ID = {**STORE_ID, "batch_id": PathParameter("The batch's id.", "vsfb_019a0000000000000000000000000000")}

type FileId = Annotated[str, Field(min_length=1, max_length=128)]


class AttachFile(BaseModel):
    """The body of POST /v1/vector_stores/{vector_store_id}/files."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    file_id: FileId
    attributes: AttributesBody | None = None
    chunking_strategy: ChunkingBody | None = None


class ChangeStoreFile(BaseModel):
    """The body of POST /v1/vector_stores/{vector_store_id}/files/{file_id}."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    attributes: AttributesBody | None


class AttachFiles(BaseModel):
    """The body of POST /v1/vector_stores/{vector_store_id}/file_batches: `file_ids`, or `files` that each say how."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    file_ids: Annotated[list[FileId], Field(min_length=1, max_length=MOST_FILES_OF_BATCH)] | None = None
    files: Annotated[list[AttachFile], Field(min_length=1, max_length=MOST_FILES_OF_BATCH)] | None = None
    attributes: AttributesBody | None = None
    chunking_strategy: ChunkingBody | None = None


class StoreFileParameters(PageParameters):
    """The query of a list of files."""

    filter: Literal["in_progress", "completed", "failed", "cancelled"] | None = None


class LastError(TypedDict):
    """Why a file could not be taken in."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class ShownSizes(TypedDict):
    """Sizes of chunks, in tokens."""

    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class ShownChunking(TypedDict):
    """How a file is cut."""

    type: Literal["static"]
    static: ShownSizes


class VectorStoreFile(TypedDict):
    """A file of a store. Times are in seconds since 1970."""

    id: str
    object: Literal["vector_store.file"]
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    last_error: LastError | None
    chunking_strategy: ShownChunking
    attributes: dict[str, bool | float | str]


class VectorStoreFiles(TypedDict):
    """A page of files."""

    object: Literal["list"]
    data: list[VectorStoreFile]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVectorStoreFile(TypedDict):
    """What was taken out."""

    id: str
    object: Literal["vector_store.file.deleted"]
    deleted: bool


class FileContentPart(TypedDict):
    """The text of a chunk."""

    type: Literal["text"]
    text: str


class VectorStoreFileContent(TypedDict):
    """What was read of a file: its chunks in order, which overlap."""

    object: Literal["vector_store.file_content.page"]
    data: list[FileContentPart]
    has_more: bool
    next_page: str | None


class VectorStoreFileBatch(TypedDict):
    """Files that were attached together."""

    id: str
    object: Literal["vector_store.files_batch"]
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    file_counts: FileCounts


@ROUTES.post(
    _FILES,
    role=Role.CALLER,
    parameters=STORE_ID,
    example={"file_id": "file-019a0000000000000000000000000000", "attributes": {"year": 2026}},
)
def attach_vector_store_file(call: Call[AttachFile]) -> VectorStoreFile:
    """Take a file into a vector store.

    One of the API key's own, uploaded with the purpose `user_data` or `assistants`: text, Markdown, HTML, JSON, CSV,
    PDF or DOCX, of 50 MB at most. It is read in the background. A file `.jsonl` has a document in each line, an object
    with `id`, `text`, and if there is one already its `vector`, besides `attributes`, `title` and `url`.
    """
    asked, store = call.body, call.app.stores.usable(call.principal.tenant.id, call.path["vector_store_id"])
    [file] = new_files(call, [asked.file_id], chunking_of(asked.chunking_strategy), asked.attributes or {})
    [attached] = call.app.file_processor.attach(call.principal, store, [file])
    return _shown(store, attached)


@ROUTES.get(_FILES, role=Role.CALLER, parameters=STORE_ID)
def list_vector_store_files(call: Call[None, StoreFileParameters]) -> VectorStoreFiles:
    """List the files of a vector store, those uploaded last first."""
    return _page(call, "")


@ROUTES.get(_FILES + "/{file_id}", role=Role.CALLER, parameters=_FILE_ID)
def get_vector_store_file(call: Call) -> VectorStoreFile:
    """Show a file of a vector store, and whether it could be read."""
    store = store_of(call)
    return _shown(store, call.app.attached_files.find(store, call.path["file_id"]))


@ROUTES.post(_FILES + "/{file_id}", role=Role.CALLER, parameters=_FILE_ID, example={"attributes": {"year": 2027}})
def change_vector_store_file(call: Call[ChangeStoreFile]) -> VectorStoreFile:
    """Give a file of a vector store other attributes. Nothing is read or embedded for that."""
    store, attributes = store_of(call), call.body.attributes or {}
    check_attributes(attributes)
    changed = call.app.attached_files.set_attributes(store, call.path["file_id"], attributes)
    call.app.document_writer.set_attributes(call.principal, store.id, changed.id, attributes)
    return _shown(store, changed)


@ROUTES.delete(_FILES + "/{file_id}", role=Role.CALLER, parameters=_FILE_ID)
def detach_vector_store_file(call: Call) -> DeletedVectorStoreFile:
    """Take a file out of a vector store. The file itself stays."""
    store, file_id = store_of(call), call.path["file_id"]
    call.app.file_processor.detach(call.principal, store, file_id)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}


@ROUTES.get(_FILES + "/{file_id}/content", role=Role.CALLER, parameters=_FILE_ID)
def read_vector_store_file(call: Call) -> VectorStoreFileContent:
    """Read what was read of a file: its chunks, which overlap."""
    store = store_of(call)
    file = call.app.attached_files.find(store, call.path["file_id"])
    documents = call.app.store_documents
    record = documents.find(store, key_of(file.id))
    revision = (record.current or record.waiting) if record else ""
    texts = documents.texts(store, key_of(file.id), revision) if revision else []
    return {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": each.text} for each in texts],
        "has_more": False,
        "next_page": None,
    }


@ROUTES.post(
    _BATCHES,
    role=Role.CALLER,
    parameters=STORE_ID,
    example={"file_ids": ["file-019a0000000000000000000000000000"]},
)
def attach_vector_store_files(call: Call[AttachFiles]) -> VectorStoreFileBatch:
    """Take up to 2,000 files into a vector store, as a batch whose end can be waited for."""
    asked, app = call.body, call.app
    store = app.stores.usable(call.principal.tenant.id, call.path["vector_store_id"])
    if (asked.file_ids is None) == (asked.files is None):
        raise InvalidRequestError("file_ids: one of file_ids and files is wanted.", param="file_ids")
    given = asked.files or [
        AttachFile(file_id=each, attributes=asked.attributes, chunking_strategy=asked.chunking_strategy)
        for each in asked.file_ids or []
    ]
    once = {each.file_id: each for each in given}

    def checked(each: AttachFile) -> AttachedFile:
        [file] = new_files(call, [each.file_id], chunking_of(each.chunking_strategy), each.attributes or {})
        return file

    files = at_once(checked, once.values())
    batch = app.attached_files.create_batch(store)
    app.file_processor.attach(call.principal, store, [file.in_batch(batch.id) for file in files])
    return _shown_batch(store, app.attached_files.find_batch(store, batch.id))


@ROUTES.get(_BATCHES + "/{batch_id}", role=Role.CALLER, parameters=_BATCH_ID)
def get_vector_store_file_batch(call: Call) -> VectorStoreFileBatch:
    """Show how far a batch of files is."""
    store = store_of(call)
    return _shown_batch(store, call.app.attached_files.find_batch(store, call.path["batch_id"]))


@ROUTES.post(_BATCHES + "/{batch_id}/cancel", role=Role.CALLER, parameters=_BATCH_ID, errors={409})
def cancel_vector_store_file_batch(call: Call) -> VectorStoreFileBatch:
    """Read no more files of a batch. What was read stays."""
    store = store_of(call)
    return _shown_batch(store, call.app.attached_files.cancel_batch(store, call.path["batch_id"]))


@ROUTES.get(_BATCHES + "/{batch_id}/files", role=Role.CALLER, parameters=_BATCH_ID)
def list_vector_store_file_batch(call: Call[None, StoreFileParameters]) -> VectorStoreFiles:
    """List the files of a batch."""
    store = store_of(call)
    return _page(call, call.app.attached_files.find_batch(store, call.path["batch_id"]).id)


def _page(call: Call[None, StoreFileParameters], batch: str) -> VectorStoreFiles:
    store, query = store_of(call), call.query
    page = call.app.attached_files.page(store, query.to_query(), status=query.filter, batch=batch)
    data = [_shown(store, file) for file in page.files]
    return listed(data, has_more=page.has_more)


def _shown(store: VectorStore, file: AttachedFile) -> VectorStoreFile:
    error: Any = {"code": file.error_code, "message": file.error_message}
    status: Any = str(file.status)
    return {
        "id": file.id,
        "object": "vector_store.file",
        "usage_bytes": file.usage_bytes,
        "created_at": file.created_at,
        "vector_store_id": store.id,
        "status": status,
        "last_error": error if file.status is FileStatus.FAILED else None,
        "chunking_strategy": {
            "type": "static",
            "static": {
                "max_chunk_size_tokens": file.chunking.max_tokens,
                "chunk_overlap_tokens": file.chunking.overlap_tokens,
            },
        },
        "attributes": dict(file.attributes),
    }


def _shown_batch(store: VectorStore, batch: FileBatch) -> VectorStoreFileBatch:
    status: Any = str(batch.status)
    return {
        "id": batch.id,
        "object": "vector_store.files_batch",
        "created_at": batch.created_at,
        "vector_store_id": store.id,
        "status": status,
        "file_counts": counts_shown(batch.counts),
    }
