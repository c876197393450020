"""Logins at the deployed functions, which have a layer more to verify them with, and at the front door."""

from typing import Any

import httpx
import openai
import pytest

from sluice.tenants.login.claims import login_id
from tests.e2e.conftest import FAKE_MODEL
from tests.token_issuer import TokenIssuer
from tools.stack import RunningStack

QUESTION: Any = [{"role": "user", "content": "Hi."}]


def ask(stack: RunningStack, token: str, path: str) -> httpx.Response:
    url = stack.stack.base_url.removesuffix("/v1") + path
    return httpx.get(url, headers={"authorization": f"Bearer {token}"}, timeout=60)


def test_a_login_chats_whole_and_streamed(stack: RunningStack, issuer: TokenIssuer) -> None:
    client = openai.OpenAI(base_url=stack.stack.base_url, api_key=issuer.token(), max_retries=0)
    answer = client.chat.completions.create(model=FAKE_MODEL, messages=QUESTION)
    assert answer.choices[0].message.content
    stream = client.chat.completions.create(model=FAKE_MODEL, messages=QUESTION, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/tasks",
        "/v1/conversations",
        "/api/v1/llm/usage/{own}",
        "/api/groq/quota",
        "/v1/keys?tenant=local",
    ],
)
def test_each_function_takes_a_login(stack: RunningStack, issuer: TokenIssuer, path: str) -> None:
    token = issuer.token(sub="head", realm_access={"roles": ["Head teachers"]})
    answer = ask(stack, token, path.format(own=login_id(issuer.url, "head")))
    assert answer.status_code == 200, answer.text


def test_a_login_that_is_none_is_refused(stack: RunningStack, issuer: TokenIssuer) -> None:
    for path in ("/v1/models", "/v1/tasks"):
        answer = ask(stack, issuer.token(aud="else"), path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert ask(stack, issuer.token(), "/v1/keys?tenant=local").status_code == 403
