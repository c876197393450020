"""Batches, as OpenAI's API has them: /v1/batches."""

from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.files import ExpiresAfter, owner_of
from sluice.api.listing import listed
from sluice.api.route import Call, PathParameter, Routes
from sluice.batches.batch import Batch as BatchRecord
from sluice.batches.batch import Priority, Status
from sluice.batches.intake import NewBatch
from sluice.catalog.money import to_usd
from sluice.tenants.tenant import Role

ROUTES = Routes("Batches")

_ID = {"batch_id": PathParameter("The batch's id.", "batch_019a0000000000000000000000000000")}
_PRIORITIES = {"low": Priority.LOW, "normal": Priority.NORMAL, "high": Priority.HIGH}


class CreateBatch(BaseModel):
    """The body of POST /v1/batches.

    `endpoint` is `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` or a task's, `/v1/tasks/{name}`. `priority`
    is Sluice's own: which of the tenant's batches come first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input_file_id: Annotated[str, Field(min_length=1, max_length=128)]
    endpoint: Annotated[str, Field(min_length=1, max_length=128)]
    completion_window: Literal["24h"]
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None
    output_expires_after: ExpiresAfter | None = None
    priority: Literal["low", "normal", "high"] = "normal"


class BatchQuery(BaseModel):
    """The query of GET /v1/batches."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    after: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class BatchFault(TypedDict):
    """What is wrong with a line of the file, or with the whole of it, and what would be right."""

    code: str
    line: int | None
    message: str
    param: str | None


class BatchFaults(TypedDict):
    """What is wrong with a batch that was refused: the first faults; its errors file has all."""

    object: Literal["list"]
    data: list[BatchFault]


class RequestCounts(TypedDict):
    """How many lines there are, and how many have ended."""

    total: int
    completed: int
    failed: int


class BatchInputDetails(TypedDict):
    """What of the prompts providers had cached."""

    cached_tokens: int


class BatchOutputDetails(TypedDict):
    """What of the completions was thought and not said."""

    reasoning_tokens: int


class BatchUsage(TypedDict):
    """Tokens of the lines that have ended."""

    input_tokens: int
    input_tokens_details: BatchInputDetails
    output_tokens: int
    output_tokens_details: BatchOutputDetails
    total_tokens: int


class BatchCosts(TypedDict):
    """Sluice's own. Dollars, as decimal numbers; `asked_again` may have been paid for twice.

    So many questions were asked once more, since whoever had asked them ended before the answer was kept.
    """

    estimated_cost_usd: str
    cost_usd: str
    asked_again: int
    priority: Literal["low", "normal", "high"]


class Batch(TypedDict):
    """A batch. Times are in seconds since 1970."""

    id: str
    object: Literal["batch"]
    endpoint: str
    errors: BatchFaults | None
    input_file_id: str
    completion_window: Literal["24h"]
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None
    sluice: BatchCosts


class Batches(TypedDict):
    """A page of batches, the latest first."""

    object: Literal["list"]
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


@ROUTES.post(
    "/v1/batches",
    role=Role.CALLER,
    example={
        "input_file_id": "file-019a0000000000000000000000000000",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    },
    takes_work=True,
    errors={404},
)
def create_batch(call: Call[CreateBatch]) -> Batch:
    """Have the requests in a file answered within a day.

    Each line is `{"custom_id": ..., "method": "POST", "url": <the endpoint>, "body": ...}`. All lines are checked
    before any is asked. They take what is left of the quotas beside a share that stays free for callers who wait, are
    never answered twice, and count as requests of the API key that made the batch.
    """
    asked = call.body
    new = NewBatch(
        tenant=call.principal.tenant.id,
        caller=call.principal.caller_id,
        input_file=asked.input_file_id,
        endpoint=asked.endpoint,
        metadata=asked.metadata or {},
        priority=_PRIORITIES[asked.priority],
        output_kept_s=asked.output_expires_after.seconds if asked.output_expires_after else None,
        is_login=call.principal.is_login,
        user=call.principal.user,
        made_once_as=call.idempotency_key or None,
    )
    return _shown(call.app.batch_intake.create(new))


@ROUTES.get("/v1/batches", role=Role.CALLER)
def list_batches(call: Call[None, BatchQuery]) -> Batches:
    """List one's batches, the latest first."""
    page = call.app.batches.page(owner_of(call.principal), after=call.query.after, limit=call.query.limit)
    data = [_shown(batch) for batch in page.batches]
    return listed(data, has_more=page.has_more)


@ROUTES.get("/v1/batches/{batch_id}", role=Role.CALLER, parameters=_ID)
def get_batch(call: Call) -> Batch:
    """Show how far a batch is."""
    return _shown(call.app.batches.find(owner_of(call.principal), call.path["batch_id"]))


@ROUTES.post("/v1/batches/{batch_id}/cancel", role=Role.CALLER, parameters=_ID, errors={409})
def cancel_batch(call: Call) -> Batch:
    """Cancel a batch.

    It is `cancelling` at once, and no more of its lines are asked. Once what was answered is in its files, which takes
    longer the more it is, it is `cancelled`.
    """
    return _shown(call.app.batch_intake.cancel(owner_of(call.principal), call.path["batch_id"]))


def _shown(batch: BatchRecord) -> Batch:
    progress, reached = batch.progress, batch.reached
    faults: list[BatchFault] = [
        {"code": each.code, "line": each.line or None, "message": each.message, "param": each.param}
        for each in batch.faults
    ]
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": str(batch.status),
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": batch.created_at,
        "in_progress_at": reached.get(Status.IN_PROGRESS),
        "expires_at": batch.ends_by,
        "finalizing_at": reached.get(Status.FINALIZING),
        "completed_at": reached.get(Status.COMPLETED),
        "failed_at": reached.get(Status.FAILED),
        "expired_at": reached.get(Status.EXPIRED),
        "cancelling_at": reached.get(Status.CANCELLING),
        "cancelled_at": reached.get(Status.CANCELLED),
        "request_counts": {"total": batch.total, "completed": progress.completed, "failed": progress.failed},
        "usage": {
            "input_tokens": progress.prompt_tokens,
            "input_tokens_details": {"cached_tokens": progress.cached_prompt_tokens},
            "output_tokens": progress.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": progress.reasoning_tokens},
            "total_tokens": progress.prompt_tokens + progress.completion_tokens,
        },
        "metadata": batch.metadata or None,
        "sluice": {
            "estimated_cost_usd": f"{to_usd(batch.estimated_nanousd):f}",
            "cost_usd": f"{to_usd(progress.cost_nanousd):f}",
            "asked_again": progress.asked_again,
            "priority": _name(batch.priority),
        },
    }


def _name(priority: Priority) -> Literal["low", "normal", "high"]:
    names: dict[Priority, Literal["low", "normal", "high"]] = {
        Priority.LOW: "low",
        Priority.NORMAL: "normal",
        Priority.HIGH: "high",
    }
    return names[priority]
