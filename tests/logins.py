"""Logins, and what a function answers to them."""

import json
import time
from typing import Any

from sluice.tenants.login.claims import login_id
from tests.chat_server import logged
from tests.rest_function import RestAnswer, RestFunction
from tests.token_issuer import (
    TokenIssuer,
)

ADA = "GET /api/v1/llm/usage/ada-1"


class Clock:
    """A clock that goes on when a test says so."""

    def __init__(self) -> None:
        # A whole number: what is added to it is there exactly.
        self.now_s = float(round(time.monotonic()))

    def __call__(self) -> float:
        return self.now_s


def own(issuer: TokenIssuer, subject: str = "ada-1") -> str:
    """The id that a login has in place of an API key's."""
    return login_id(issuer.url, subject)


def ask(function: RestFunction, token: str) -> RestAnswer:
    """Ask with a token in place of an API key."""
    return function.send(ADA, api_key=token)


def token_with(issuer: TokenIssuer, claim: str, value: Any) -> str:
    """A token of the tenant `school`, with a claim as it should not be."""
    claims: dict[str, Any] = {"org": "school", claim: value}
    return issuer.token(**claims)


def let_in(function: RestFunction, token: str) -> bool:
    """Whether who has a token is let in."""
    answer = ask(function, token)
    # Who is let in has used nothing yet.
    assert answer.status in {401, 404}, answer.raw
    return answer.status == 404


def refusal(function: RestFunction, token: str) -> str:
    """Why a token is refused, in OpenAI's envelope and without a word of the token's."""
    with logged() as lines:
        answer = ask(function, token)
    assert answer.status == 401, answer.raw
    assert answer.headers["www-authenticate"] == ['Bearer error="invalid_token"']
    assert answer.error.keys() == {"message", "type", "param", "code"}
    assert (answer.error["type"], answer.error["code"]) == ("authentication_error", "invalid_token")
    shown = answer.raw + json.dumps(lines())
    assert not [part for part in token.split(".") if len(part) > 8 and part in shown]
    message: str = answer.error["message"]
    return message
