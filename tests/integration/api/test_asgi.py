"""What a client meets on a socket beside the answers themselves."""

from collections.abc import Iterator

import httpx
import pytest

from tests.chat_server import ChatServer


@pytest.fixture
def client(chat: ChatServer) -> Iterator[httpx.Client]:
    """A client that follows no redirect and sends its key as `x-api-key`."""
    headers = {"x-api-key": chat.api_key}
    with httpx.Client(base_url=chat.root_url, headers=headers, follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/models/", "/openai/v1/models", "/openai/v1/models/"])
def test_a_list_is_the_same_at_all_its_paths(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json() == client.get("/v1/models").json()


@pytest.mark.parametrize("path", ["/v1/models/small", "/v1/models/small/", "/openai/v1/models/small"])
def test_a_model_is_the_same_at_all_its_paths(client: httpx.Client, path: str) -> None:
    assert client.get(path).json()["id"] == "small"


def test_head_is_get_without_a_body(client: httpx.Client) -> None:
    answer, whole = client.head("/v1/models"), client.get("/v1/models")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))


def test_options_says_what_a_path_takes(client: httpx.Client) -> None:
    answer = client.options("/v1/chat/completions")
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", "OPTIONS, POST")


def test_what_is_not_there_is_named_with_what_is_near_it_and_the_request_s_id(client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completion", json={})
    assert answer.status_code == 404
    assert "POST /v1/chat/completion. Near it: POST /v1/chat/completions" in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"].startswith("req_")


def test_an_encoded_slash_is_part_of_a_model_s_name(client: httpx.Client) -> None:
    for path in ("/v1/models/meta%2Fllama", "/v1/models/meta/llama"):
        assert "'meta/llama'" in client.get(path).json()["error"]["message"]
