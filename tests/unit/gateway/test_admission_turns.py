"""Turns of conversations, as admission claims them: what was said before, and for how long it is held."""

from typing import Any

import pytest

from sluice.conversations.conversation import Owner
from sluice.errors import (
    ConflictError,
    FeatureDisabledError,
    InvalidRequestError,
    StorageUnavailableError,
)
from sluice.gateway.request import AdmittedRequest, Incoming
from sluice.routing.deadline import Deadline
from sluice.routing.intent import Complexity
from tests.credentials import model
from tests.gateways import HELLO, MemoryGateway, entry, in_conversation, said
from tests.scripted_providers import Reply, body

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
LOOK = ({"role": "user", "content": [{"type": "text", "text": "Look"}, IMAGE]},)
HARD = "Compare these two. " * 80


def admitted(gateway: MemoryGateway, **fields: Any) -> AdmittedRequest:
    """What a request becomes."""
    context = gateway.context(fields)
    return gateway.admission.admit(Incoming(gateway.request(fields), gateway.principal, context))


def test_what_was_said_before_goes_in_front_and_what_is_new_is_added() -> None:
    gateway = MemoryGateway()
    gateway.complete(**in_conversation())
    gateway.complete(**said("And now?"), **in_conversation(sluice_user="ada"))
    texts = [[message.text for message in call.request.messages] for call in gateway.script.calls]
    assert texts == [["Hello there"], ["Hello there", "Good morning.", "And now?"]]
    assert gateway.conversations.said("c-1") == ["Hello there", "Good morning.", "And now?", "Good morning."]
    assert gateway.conversations.owners == [Owner("acme", "key00001"), Owner("acme", "key00001", "ada")]


@pytest.mark.parametrize(("labels", "user"), [({"sluice_user": ""}, ""), ({}, None)])
def test_an_empty_name_of_a_user_is_not_none(labels: dict[str, str], user: str | None) -> None:
    gateway = MemoryGateway()
    gateway.complete(**in_conversation(**labels))
    assert gateway.conversations.owners == [Owner("acme", "key00001", user)]


def test_a_conversation_is_looked_up_by_all_that_the_model_sees() -> None:
    gateway = MemoryGateway()
    found = [gateway.complete(**in_conversation()).provenance.cache for _ in range(2)]
    assert found == ["miss", "miss"]
    assert gateway.complete(**in_conversation("c-2")).provenance.cache == "hit"
    # Each asked the cache once, after its turn was claimed.
    assert len(gateway.cache.asked) == 3
    assert gateway.conversations.said("c-2") == ["Hello there", "Good morning."]


def test_a_turn_that_is_claimed_goes_on_without_another_claim() -> None:
    gateway = MemoryGateway()
    gateway.complete(**in_conversation())
    request, context = gateway.request(said("And now?")), gateway.context({})
    turn = gateway.admission.claim_turn("c-1", Incoming(request, gateway.principal, context))
    gateway.complete(**said("And now?"), turn=turn)
    assert gateway.script.calls[-1].request.messages[0].text == "Hello there"
    assert gateway.conversations.claimed.keys() == {"c-1"}
    # What was said before decides the answer, so that it is none to the question alone.
    assert gateway.complete(**said("And now?")).provenance.cache == "miss"
    assert len(gateway.cache.asked) == 3


def test_a_conversation_that_is_busy_or_turned_off_refuses_and_counts() -> None:
    gateway = MemoryGateway()
    turn = gateway.admission.claim_turn("c-1", Incoming(gateway.request({}), gateway.principal, gateway.context({})))
    with pytest.raises(ConflictError):
        gateway.complete(**in_conversation())
    turn.abandon()
    gateway.complete(**in_conversation())
    off = MemoryGateway(choices={"features": {"values": {"conversations": False}}})
    with pytest.raises(FeatureDisabledError):
        off.complete(**in_conversation())
    assert (gateway.counted(), off.counted(), off.asked()) == (2, 1, [])


def test_images_of_earlier_turns_need_a_model_that_can_see() -> None:
    both = [entry("blind", blind=model(text_only=True)), entry("seeing", seeing=model())]
    gateway = MemoryGateway(*both)
    gateway.complete(model="seeing", messages=LOOK, **in_conversation())
    answer = gateway.complete(model="auto", **said("And now?"), **in_conversation())
    assert answer.provenance.model == "seeing"
    with pytest.raises(InvalidRequestError, match="text only"):
        MemoryGateway(both[0]).complete(model="blind", messages=LOOK)
    only = MemoryGateway(both[0])
    only.conversations.turns = gateway.conversations.turns
    with pytest.raises(InvalidRequestError, match="text only"):
        only.complete(model="blind", **said("And now?"), **in_conversation())
    # The turn is another request's to claim, and the caller's fault counts.
    assert (only.conversations.claimed, only.conversations.abandoned, only.counted()) == ({}, 1, 1)


def test_how_hard_a_question_is_does_not_depend_on_what_was_said_before() -> None:
    seeing = [entry("small", small=model()), entry("large", large=model("smart"))]
    gateway = MemoryGateway(*seeing)
    long = [{"role": "user", "content": [{"type": "text", "text": HARD}, IMAGE]}]
    hard = gateway.complete(model="auto", messages=long, **in_conversation())
    easy = gateway.complete(model="auto", **said("And now?"), **in_conversation())
    assert [each.provenance.model for each in (hard, easy)] == ["large", "small"]
    assert easy.provenance.complexity == Complexity.SIMPLE


def test_without_images_before_a_plan_stays_as_it_was() -> None:
    gateway = MemoryGateway(entry("blind", blind=model(text_only=True)))
    for _ in range(2):
        gateway.complete(model="blind", **in_conversation())
    assert gateway.asked() == ["blind", "blind"]


def test_what_is_remembered_is_as_much_as_the_tenant_says() -> None:
    gateway = MemoryGateway(conversation_messages=3)
    for number in range(3):
        gateway.complete(**said(f"Question {number}"), **in_conversation())
    seen = [message.text for message in gateway.script.calls[-1].request.messages]
    assert seen == ["Question 1", "Good morning.", "Question 2"]


def test_what_is_remembered_fits_the_smallest_model_that_may_answer() -> None:
    gateway = MemoryGateway(entry("two"), entry("one", small=model(context_window=1_000)))
    gateway.script.replies["two"] = [Reply(body=body("word " * 600))]
    for _ in range(2):
        gateway.complete(max_tokens=100, **in_conversation())
    assert len(gateway.script.calls[-1].request.messages[1].text) < 2_600


def test_a_turn_is_claimed_for_as_long_as_the_request_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway()
    held: list[float] = []
    claim = gateway.conversations.claim

    def noting(owner: Owner, conversation_id: str, request_id: str, hold_s: float) -> Any:
        held.append(hold_s)
        assert request_id == "req_1"
        return claim(owner, conversation_id, request_id, hold_s)

    monkeypatch.setattr(gateway.conversations, "claim", noting)
    gateway.complete(**in_conversation(), deadline=Deadline.after(50.0))
    assert held == [pytest.approx(60.0, abs=1)]


def test_a_failure_of_storage_in_a_conversation_gives_back_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway()

    def down(*_: object) -> None:
        raise StorageUnavailableError("Conversations are down.")

    monkeypatch.setattr(gateway.conversations, "history", down)
    with pytest.raises(StorageUnavailableError):
        gateway.complete(**in_conversation())
    assert (gateway.counted(), gateway.conversations.claimed) == (0, {})


def test_what_is_new_in_a_request_is_kept_apart_from_what_was_said_before() -> None:
    gateway = MemoryGateway()
    gateway.complete(**in_conversation())
    known = admitted(gateway, **said("And now?"), **in_conversation())
    assert [message.text for message in known.said] == ["And now?"]
    assert len(known.request.messages) == 3
    assert admitted(MemoryGateway(), messages=HELLO).turn is None
