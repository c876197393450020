"""Events of Jira and GitHub, as they send them: signed, and without an API key."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, TypedDict

from pydantic import ConfigDict, Field, RootModel

from sluice.api.route import Call, PathParameter, Routes
from sluice.ingestion.receiving import Delivery, ReceivedStatus
from sluice.ingestion.source import SourceType

ROUTES = Routes("Ingestion")

_ID = {"source_id": PathParameter("The source's id.", "src_school.019a00000000000000000000")}


class SignedEvent(RootModel[dict[str, Any]]):
    """An event as its sender documents it: https://docs.github.com/webhooks, https://developer.atlassian.com."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class IngestEvent(TypedDict):
    """What becomes of an event: it is queued, it came before, or it is ignored, for this `reason`."""

    object: Literal["ingest.event"]
    status: ReceivedStatus
    reason: Annotated[str | None, Field(description="Why it is ignored.")]


@ROUTES.post(
    "/v1/ingest/github/{source_id}",
    role=None,
    parameters=_ID,
    status=HTTPStatus.ACCEPTED,
    is_signed=True,
    example={"zen": "Keep it logically awesome.", "hook_id": 1},
    errors={401},
)
def receive_github_event(call: Call[SignedEvent]) -> IngestEvent:
    """Take an event of GitHub's.

    It is signed with the source's secret: `X-Hub-Signature-256` has to be that of the body's bytes. What is not is
    answered 401 and leaves no trace; what is signed and not understood is answered 202, and is in the coverage report.
    """
    return _received(call, SourceType.GITHUB)


@ROUTES.post(
    "/v1/ingest/jira/{source_id}",
    role=None,
    parameters=_ID,
    status=HTTPStatus.ACCEPTED,
    is_signed=True,
    example={"timestamp": 1_767_225_600_000, "webhookEvent": "jira:issue_updated"},
    errors={401},
)
def receive_jira_event(call: Call[SignedEvent]) -> IngestEvent:
    """Take an event of Jira's.

    It is signed with the source's secret: `X-Hub-Signature` has to be that of the body's bytes. What is not is answered
    401 and leaves no trace; what is signed and not understood is answered 202, and is in the coverage report.
    """
    return _received(call, SourceType.JIRA)


def _received(call: Call[SignedEvent], source_type: SourceType) -> IngestEvent:
    if call.raw is None:
        raise RuntimeError("a signed route is given the bytes")
    delivery = Delivery(call.raw.headers, call.raw.body)
    received = call.app.ingest_receiver.receive(source_type, call.path["source_id"], delivery)
    return {"object": "ingest.event", "status": received.status, "reason": received.reason}
