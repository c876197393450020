"""What the front door may be called: a name that a web page's owner made to lead here is not among it."""

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from tools.door import door_at
from tools.front_door import DeployedApi, FrontDoor

HOSTS = ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"]


def get(headers: dict[str, str], path: str = "/v1/models") -> httpx.Response:
    """Ask a front door for the chat function's models."""
    chat = PlainTextResponse("the chat app has answered")
    door = FrontDoor(chat, DeployedApi("http://127.0.0.1:1", "token"), door_at(8080))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://localhost:8080") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("host", [*HOSTS, "LocalHost:8080"])
def test_its_own_names_are_answered(host: str) -> None:
    assert get({"host": host}).text == "the chat app has answered"


@pytest.mark.slow
@pytest.mark.parametrize(
    "host", ["attacker.example:8080", "attacker.example", "localhost", "localhost:80", "127.0.0.1.nip.io:8080", ""]
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/keys"])
def test_another_name_is_refused(host: str, path: str) -> None:
    answer = get({"host": host}, path)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "foreign_host"
