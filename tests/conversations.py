"""What tests of conversations say and see."""

import time

from sluice.chat import Message
from sluice.conversations.conversation import Claim, Owner, Turn
from sluice.conversations.reader import ConversationReader
from sluice.conversations.schema import HEAD, to_turn
from sluice.conversations.store import ConversationStore
from sluice.storage.item_types import TypedItem, from_item
from tests.conftest import Aws

ANN = Owner("acme", "key1")


class Clock:
    def __init__(self) -> None:
        # MiniStack deletes what has expired by its own clock: this one only moves ahead.
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


def said(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


def turn(text: str) -> list[Message]:
    return [said("user", f"{text}?"), said("assistant", f"{text}.")]


def add(store: ConversationStore, text: str, conversation: str = "c", owner: Owner = ANN) -> None:
    claim = store.claim(owner, conversation, f"req-{text}", hold_s=60)
    assert store.complete(claim, turn(text), (), store.history(claim, 5))


def heard(store: ConversationStore, claim: Claim, most_turns: int = 5) -> list[str]:
    return [message.text for each in store.history(claim, most_turns) for message in each.messages]


def texts(reader: ConversationReader, conversation: str = "c", owner: Owner = ANN) -> list[str]:
    found = reader.read(owner, conversation, before=None, limit=1000)
    assert [each.sequence for each in found.turns] == list(range(1, len(found.turns) + 1))
    return [message.text for each in found.turns for message in each.messages]


def turns_of(aws: Aws, partition: str) -> list[Turn]:
    """The turns of a conversation, in order."""
    found = [from_item(item) for item in items(aws) if item["conversation"]["S"] == partition]
    return [to_turn(item) for item in sorted(found, key=lambda item: item["sequence"]) if item["sequence"] != HEAD]


def items(aws: Aws) -> list[TypedItem]:
    return aws.items("CONVERSATIONS_TABLE")
