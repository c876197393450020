"""Files, as OpenAI's API has them: /v1/files, and /v1/uploads for those that are too large for one request."""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.form import FormFile
from sluice.api.listing import listed
from sluice.api.route import Call, Content, PathParameter, Redirect, Routes
from sluice.errors import InvalidRequestError, NotFoundError, PayloadTooLargeError
from sluice.files.file import StoredFile
from sluice.files.file import Upload as UploadRecord
from sluice.files.file import owner_of as file_owner
from sluice.files.store import MOST_BYTES, NewFile
from sluice.files.uploads import MOST_PARTS
from sluice.storage.objects import ObjectMissingError
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role

ROUTES = Routes("Files")

_ID = {"file_id": PathParameter("The file's id.", "file-019a0000000000000000000000000000")}
_UPLOAD_ID = {"upload_id": PathParameter("The upload's id.", "upload_019a0000000000000000000000000000")}

_LEAST_S, _MOST_S = 3_600, 30 * 86_400
# An answer of a function has 6 MB at most; what is larger is read where it lies.
_MOST_SENT_BYTES = 4_000_000
_LINK_LIFETIME_S = 300


class ExpiresAfter(BaseModel):
    """When a file goes: so many seconds after it was made, from an hour to 30 days."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=_LEAST_S, le=_MOST_S)]


class NewFileForm(BaseModel):
    """The form of POST /v1/files."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    file: FormFile
    purpose: Literal["batch", "user_data", "assistants"]
    expires_after: ExpiresAfter | None = None


class NewUpload(BaseModel):
    """The body of POST /v1/uploads. `bytes` is how many the whole file has."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    filename: Annotated[str, Field(min_length=1, max_length=255)]
    purpose: Literal["batch", "user_data", "assistants"]
    bytes: Annotated[int, Field(ge=1)]
    mime_type: Annotated[str, Field(min_length=1, max_length=255)]
    expires_after: ExpiresAfter | None = None


class PartForm(BaseModel):
    """The form of POST /v1/uploads/{upload_id}/parts."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    data: FormFile


class CompleteUpload(BaseModel):
    """The body of POST /v1/uploads/{upload_id}/complete: the parts in order; none if its URL was written to.

    `md5` is the file's, in hexadecimal digits, to be held against.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    part_ids: Annotated[list[str], Field(max_length=MOST_PARTS)]
    md5: str | None = None


class FileQuery(BaseModel):
    """The query of GET /v1/files."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    purpose: str | None = None
    after: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    order: Literal["asc", "desc"] = "desc"


class File(TypedDict):
    """A file. Times are in seconds since 1970."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"]


class Files(TypedDict):
    """A page of files."""

    object: Literal["list"]
    data: list[File]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(TypedDict):
    """What was deleted."""

    id: str
    object: Literal["file"]
    deleted: bool


class Upload(TypedDict):
    """A file that comes in parts. `url` takes the whole of it in one PUT instead, up to its `expires_at`."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: str
    file: File | None
    url: str | None


class UploadPart(TypedDict):
    """A part of an upload."""

    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


@ROUTES.post("/v1/files", role=Role.CALLER, is_form=True, example={"purpose": "batch", "file": '{"custom_id": "1"}\n'})
def create_file(call: Call[NewFileForm]) -> File:
    """Upload a file.

    A form, as OpenAI's SDKs send it, of 4 MB at most: API Gateway and Lambda take no more. Larger ones go by
    `/v1/uploads`. A file is its API key's, and nobody else sees it. Files for batches go after 30 days unless
    `expires_after` says otherwise; others stay until they are deleted. All of a key's together have a bound.
    """
    form = call.body
    new = NewFile(
        owner=owner_of(call.principal),
        filename=_checked_name(form.file.filename),
        purpose=form.purpose,
        expires_after_s=form.expires_after.seconds if form.expires_after else None,
    )
    return shown_file(call.app.files.create(new, form.file.content))


@ROUTES.get("/v1/files", role=Role.CALLER)
def list_files(call: Call[None, FileQuery]) -> Files:
    """List one's files, the latest first."""
    query = call.query
    page = call.app.files.page(
        owner_of(call.principal),
        purpose=query.purpose,
        after=query.after,
        limit=query.limit,
        newest_first=query.order == "desc",
    )
    data = [shown_file(file) for file in page.files]
    return listed(data, has_more=page.has_more)


@ROUTES.get("/v1/files/{file_id}", role=Role.CALLER, parameters=_ID)
def get_file(call: Call) -> File:
    """Show a file."""
    return shown_file(_file(call))


@ROUTES.delete("/v1/files/{file_id}", role=Role.CALLER, parameters=_ID)
def delete_file(call: Call) -> DeletedFile:
    """Delete a file.

    Lines of a batch that were not asked yet are answered with an error then.
    """
    file = _file(call)
    call.app.files.delete(file)
    return {"id": file.id, "object": "file", "deleted": True}


@ROUTES.get("/v1/files/{file_id}/content", role=Role.CALLER, parameters=_ID)
def download_file(call: Call) -> Content | Redirect:
    """Read a file.

    One that is large, or no text, is where the answer leads to: a URL that is good for five minutes. OpenAI's SDKs
    follow it by themselves.
    """
    file = _file(call)
    try:
        if file.size <= _MOST_SENT_BYTES:
            content = b"".join(call.app.files.pieces(file))
            if _is_text(content):
                return Content(content, "application/octet-stream")
    except ObjectMissingError:
        raise NotFoundError(f"The content of {file.id} is gone.", param="file_id") from None
    return Redirect(call.app.files.download_url(file, _LINK_LIFETIME_S))


@ROUTES.post(
    "/v1/uploads",
    role=Role.CALLER,
    example={"filename": "questions.jsonl", "purpose": "batch", "bytes": 20_000_000, "mime_type": "application/jsonl"},
    errors={413},
)
def create_upload(call: Call[NewUpload]) -> Upload:
    """Begin to upload a file in parts, of 200 MB at most.

    Send parts of 4 MB at most, 200 of them at most, then complete it. Or PUT the whole to `url` in one request, and
    complete it without parts. What is not complete within an hour goes.
    """
    asked = call.body
    if asked.bytes > MOST_BYTES:
        raise PayloadTooLargeError(f"The file has {asked.bytes} bytes; at most {MOST_BYTES} are taken.", param="bytes")
    new = NewFile(
        owner=owner_of(call.principal),
        filename=_checked_name(asked.filename),
        purpose=asked.purpose,
        expires_after_s=asked.expires_after.seconds if asked.expires_after else None,
    )
    upload = call.app.uploads.begin(new, size=asked.bytes, mime_type=asked.mime_type)
    return _shown_upload(upload, url=call.app.uploads.url(upload))


@ROUTES.post(
    "/v1/uploads/{upload_id}/parts",
    role=Role.CALLER,
    parameters=_UPLOAD_ID,
    is_form=True,
    example={"data": '{"custom_id": "1"}\n'},
    errors={409},
)
def add_upload_part(call: Call[PartForm]) -> UploadPart:
    """Add a part to an upload."""
    upload = _upload(call)
    part_id = call.app.uploads.add_part(upload, call.body.data.content)
    return {"id": part_id, "object": "upload.part", "created_at": upload.created_at, "upload_id": upload.id}


@ROUTES.post(
    "/v1/uploads/{upload_id}/complete",
    role=Role.CALLER,
    parameters=_UPLOAD_ID,
    example={"part_ids": ["part_019a0000000000000000000000000000"]},
    errors={409},
)
def complete_upload(call: Call[CompleteUpload]) -> Upload:
    """Make a file of an upload's parts, in the order of `part_ids`."""
    upload, part_ids, uploads = _upload(call), call.body.part_ids, call.app.uploads
    if upload.file_id is None:
        sizes = uploads.part_sizes(upload)
        if missing := [part for part in part_ids if part not in sizes]:
            raise InvalidRequestError(f"part_ids: there is no part {missing[0][:64]!r}.", param="part_ids")
        size = sum(sizes[part] for part in part_ids) if part_ids else _put_size(call, upload)
        if size != upload.size:
            raise InvalidRequestError(
                f"The parts have {size} bytes together, and the upload was to have {upload.size}.", param="part_ids"
            )
    file = uploads.complete(upload, part_ids, call.body.md5)
    return _shown_upload(uploads.find(upload.owner, upload.id), file=file)


@ROUTES.post("/v1/uploads/{upload_id}/cancel", role=Role.CALLER, parameters=_UPLOAD_ID, errors={409})
def cancel_upload(call: Call) -> Upload:
    """Give up an upload."""
    upload = _upload(call)
    call.app.uploads.cancel(upload)
    return _shown_upload(call.app.uploads.find(upload.owner, upload.id))


def shown_file(file: StoredFile) -> File:
    """A file, as the API shows it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def _shown_upload(upload: UploadRecord, *, url: str | None = None, file: StoredFile | None = None) -> Upload:
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": shown_file(file) if file else None,
        "url": url,
    }


def owner_of(principal: Principal) -> str:
    """Whose the files are that a principal makes."""
    return file_owner(principal.tenant.id, principal.caller_id)


def _file(call: Call[Any, Any]) -> StoredFile:
    return call.app.files.find(owner_of(call.principal), call.path["file_id"])


def _upload(call: Call[Any, Any]) -> UploadRecord:
    return call.app.uploads.find(owner_of(call.principal), call.path["upload_id"])


def _put_size(call: Call[Any, Any], upload: UploadRecord) -> int:
    try:
        return call.app.uploads.whole_size(upload)
    except ObjectMissingError:
        raise InvalidRequestError(
            "part_ids: name the parts in order; there are none, and nothing was put to the upload's URL.",
            param="part_ids",
        ) from None


def _checked_name(name: str) -> str:
    kept = name.replace("\\", "/").rpartition("/")[2]
    if not kept or not kept.isprintable() or len(kept) > 255:
        raise InvalidRequestError("file: its name should have 1 to 255 characters that can be read.", param="file")
    return kept


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
