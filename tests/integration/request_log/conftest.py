"""The function that shows records."""

import pytest

from functions.operations.app import ROUTES as FUNCTION_ROUTES
from tests.chat_server import ChatServer
from tests.rest_function import RestFunction


@pytest.fixture
def operations(chat: ChatServer) -> RestFunction:
    """The function, with an operator's key of the tenant `acme`."""
    return RestFunction(FUNCTION_ROUTES, chat.key("acme", role="operator"))
