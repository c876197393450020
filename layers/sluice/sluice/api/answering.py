"""Questions about one's own usage, limits and documents: POST /api/v1/ai/qa/ask."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Reply, Routes
from sluice.errors import InvalidRequestError
from sluice.tenants.preference_types import QuestionAnswering, question_answering
from sluice.tenants.tenant import TENANT_ID_PATTERN, Role
from sluice.tenants.time_zone import time_zone
from sluice.tenants.visibility import reached

if TYPE_CHECKING:
    from sluice.answering.answer import DataSource, QuestionAnswer
    from sluice.answering.figures import Figure

ROUTES = Routes("Questions")

_MOST_CHARACTERS = 2_000
_MOST_STORES = 10


class QuestionContext(BaseModel):
    """What a question is about beside its words.

    `vector_store_ids` are searched alone; without them the stores made last are. `time_zone` is whose days are meant,
    the tenant's if it is left out. `tenant` is for admins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    vector_store_ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=128)]], Field(max_length=_MOST_STORES)
    ] = Field(default_factory=list)
    time_zone: Annotated[str, Field(min_length=1, max_length=64, examples=["Europe/Berlin"])] | None = None
    tenant: Annotated[str, Field(pattern=f"^{TENANT_ID_PATTERN}$")] | None = None


class AskedQuestion(BaseModel):
    """The body of POST /api/v1/ai/qa/ask."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    question: Annotated[str, Field(min_length=1, max_length=_MOST_CHARACTERS)]
    context: QuestionContext | None = None


class AnswerSource(TypedDict):
    """What an answer is from; where there is none, a document that is near. `score` is its own confidence."""

    type: Literal["usage", "budget", "limits", "health", "coverage", "stores", "document"]
    name: str
    link: Annotated[str, Field(description="A path of this API, or where the document came from.")]
    chunk_id: str | None
    vector_store_id: str | None
    score: float | None


AnswerPeriod = TypedDict(
    "AnswerPeriod",
    {
        "from": Annotated[str, Field(description="The first day.")],
        "to": Annotated[str, Field(description="The last day.")],
    },
)


class AnswerFigure(TypedDict):
    """A number that was computed: exactly, and as the answer shows it."""

    name: str
    value: float | None
    unit: Literal["usd", "requests", "tokens", "percent", "milliseconds", "tokens_per_request", "count"]
    text: str
    of: Annotated[dict[str, str], Field(description="What it is of: a model, a user, a day.")]
    period: AnswerPeriod | None


class QaAnswer(TypedDict):
    """An answer to a question, and what it is from."""

    object: Literal["qa.answer"]
    answer: Annotated[str, Field(description="[1] is the first document among `data_sources`.")]
    confidence: Annotated[float, Field(description="The probability that it is right, from 0 to 1.")]
    basis: Annotated[
        Literal["computed", "documents", "both", "none"],
        Field(description="Whether it is from figures, from documents, or there is no answer."),
    ]
    data_sources: list[AnswerSource]
    follow_up_questions: list[str]
    figures: list[AnswerFigure]
    model: Annotated[str | None, Field(description="Which model was asked for words; null if none was.")]
    time_zone: str


@ROUTES.post(
    "/api/v1/ai/qa/ask",
    role=Role.CALLER,
    example={"question": "Which model cost us the most last month?"},
    asks_a_model=True,
)
def ask_question(call: Call[AskedQuestion]) -> Reply[QaAnswer]:
    """Ask about usage, limits, providers, what came in, or what documents say.

    Within what the API key may see: a caller its own, managers and operators their tenant's, admins all. Numbers are
    computed or quoted, and never a model's. What nothing answers has the basis "none". A question counts as a request,
    and so does what it asks of models.
    """
    from sluice.answering.request import Asked

    body, app, principal = call.body, call.app, call.principal
    context = body.context or QuestionContext()
    if context.tenant is not None:
        reached(context.tenant, principal)
    zone = _zone(call, context)
    counted = app.caller_counter.count(principal, principal.user_of(call.labels.user) or "")
    with app.caller_counter.kept(counted):
        found = app.answerer.answer(
            Asked(
                question=body.question,
                principal=principal,
                context=call.context,
                now=datetime.now(UTC),
                zone=zone,
                wishes=_wishes(call),
                tenant=context.tenant,
                stores=context.vector_store_ids,
                user=call.labels.user,
            )
        )
    return Reply(_shown(found, zone), found.provenance, counted.limit.headers())


def _zone(call: Call[AskedQuestion], context: QuestionContext) -> ZoneInfo:
    try:
        return time_zone(context.time_zone or call.principal.tenant.time_zone)
    except ValueError as error:
        raise InvalidRequestError(f"context.time_zone: {error}.", param="context.time_zone") from None


def _wishes(call: Call[AskedQuestion]) -> QuestionAnswering:
    tenant, preferences = call.principal.tenant.id, call.app.preferences
    agent, own = (preferences.get(tenant, kind).values for kind in ("agent_config", "qa_agent"))
    return question_answering(agent, own)


def _shown(found: "QuestionAnswer", zone: ZoneInfo) -> QaAnswer:
    return {
        "object": "qa.answer",
        "answer": found.answer,
        "confidence": round(found.confidence, 4),
        "basis": found.basis,
        "data_sources": [_source(each) for each in found.sources],
        "follow_up_questions": list(found.follow_ups),
        "figures": [_figure(each) for each in found.figures],
        "model": found.provenance.model if found.provenance else None,
        "time_zone": str(zone),
    }


def _source(source: "DataSource") -> AnswerSource:
    return {
        "type": source.type,
        "name": source.name,
        "link": source.link,
        "chunk_id": source.chunk_id,
        "vector_store_id": source.vector_store_id,
        "score": source.score,
    }


def _figure(figure: "Figure") -> AnswerFigure:
    period = figure.period
    return {
        "name": figure.name,
        "value": None if figure.value is None else float(figure.value),
        "unit": figure.unit,
        "text": figure.text,
        "of": dict(figure.of),
        "period": None if period is None else {"from": period.first.isoformat(), "to": period.last.isoformat()},
    }
