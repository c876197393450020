"""What a request for a response asks of a chat: references are looked up, and what it goes on from is read."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sluice.api.responses.body import ResponseQuestion, ResponseRequest
from sluice.api.responses.past import Past
from sluice.api.responses.references import resolved
from sluice.api.responses.refusal import invalid
from sluice.api.responses.request import Translated, input_items, translated
from sluice.api.route import Call
from sluice.chat import AUTO, MAX_MESSAGES, ChatRequest
from sluice.conversations.conversation import Owner
from sluice.conversations.thread import Ancestry, ReadLimits, ThreadPlace, ThreadTurn
from sluice.gateway.request import RequestContext
from sluice.loading.dataclass import dataclass
from sluice.validation.body import MAX_BODY_BYTES

# As much as a request may bring itself.
_READ_LIMITS = ReadLimits(messages=MAX_MESSAGES, size=MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a chat for a response. `ancestry` is what the response goes on from, if it does."""

    translated: Translated
    chat: ChatRequest
    context: RequestContext
    owner: Owner
    ancestry: Ancestry | None

    @property
    def previous(self) -> ThreadPlace | None:
        """The response that it goes on from."""
        return self.ancestry.turns[-1].place if self.ancestry else None

    @property
    def ancestors(self) -> Sequence[ThreadTurn]:
        """All responses that it goes on from."""
        return self.ancestry.turns if self.ancestry else ()


def owner_of[Body, Query](call: Call[Body, Query], user: str | None = None) -> Owner:
    """Whose the responses of a request are. `user` is the one that its body names: a header counts more."""
    named = call.labels.user or user
    return Owner(call.principal.tenant.id, call.principal.caller_id, call.principal.user_of(named))


def asked_of[Body: ResponseQuestion](call: Call[Body]) -> Asked:
    """What a request asks of a chat. Raises SluiceError, and has spent nothing but reads then."""
    body, app = call.body, call.app
    metadata = body.metadata if isinstance(body, ResponseRequest) else None
    owner = owner_of(call, (metadata or {}).get("sluice_user"))
    # For whoever is known to be out of requests nothing is read.
    app.caller_counter.check(call.principal, owner.user or "")
    found = translated(body, resolved(input_items(body), partial(app.threads.read, owner)))
    chat = found.chat.labelled(call.labels)
    ancestry = None
    if body.previous_response_id:
        if chat.labels.conversation_id:
            raise invalid("previous_response_id", "a response is of a conversation, or goes on from another: not both.")
        where = ThreadPlace.parse(body.previous_response_id, "previous_response_id")
        ancestry = app.threads.ancestry(owner, where, _READ_LIMITS)
        if ancestry.turns[-1].record["response"].get("conversation"):
            raise invalid("previous_response_id", "that response is of a conversation, which `conversation` continues.")
    context = call.context
    if ancestry is not None or body.truncation == "auto":
        past = Past(
            ancestry=ancestry,
            instructions=found.instructions,
            context_window=_context_window(call) if body.truncation == "auto" else None,
            keeps_thoughts=found.keeps_thoughts,
        )
        context = replace(context, turn=past)
    return Asked(translated=found, chat=chat, context=context, owner=owner, ancestry=ancestry)


def _context_window[Body: ResponseQuestion](call: Call[Body]) -> int:
    """That of the smallest model that may answer."""
    registry, name = call.app.registry_of(call.principal.tenant), call.body.model
    if name != AUTO:
        return min(each.model.context_window for each in registry.deployments_for(name).deployments)
    models = registry.models(call.principal.tenant.allowed_models)
    return min(each.context_window for each in models if each.serves_a_tier)
