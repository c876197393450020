"""Conversations at a time that tests set."""

import pytest

from sluice.conversations.reader import ConversationReader
from sluice.conversations.store import ConversationStore
from tests.conftest import Aws
from tests.conversations import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(aws: Aws, clock: Clock) -> ConversationStore:
    return ConversationStore(aws.table("CONVERSATIONS_TABLE"), clock)


@pytest.fixture
def reader(aws: Aws, clock: Clock) -> ConversationReader:
    return ConversationReader(aws.table("CONVERSATIONS_TABLE"), clock)
