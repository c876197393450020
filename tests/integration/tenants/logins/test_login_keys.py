"""The keys that an issuer signs logins with: fetched, changed, and not to be had."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.tenants.login.signing_keys import FIRST_PAUSE_S, FRESH_S, PAUSE_S
from tests.chat_server import logged
from tests.logins import Clock, ask, let_in, refusal
from tests.rest_function import RestFunction
from tests.token_issuer import (
    KEYS,
    TokenIssuer,
    private_key,
    public_jwk,
    signed,
)


def test_keys_are_changed_without_anybody_noticing(usage: RestFunction, issuer: TokenIssuer, clock: Clock) -> None:
    assert let_in(usage, issuer.token(org="school"))
    issuer.keys = [public_jwk("RS256", "key-1"), public_jwk("ES256", "key-2")]
    new = issuer.token("ES256", "key-2", org="school")
    assert "does not publish" in refusal(usage, new)
    clock.now_s += PAUSE_S
    assert let_in(usage, new)
    assert issuer.asked.count(KEYS) == 2
    issuer.keys = [public_jwk("ES256", "key-2")]
    clock.now_s += FRESH_S
    assert "does not publish" in refusal(usage, issuer.token(org="school"))
    assert let_in(usage, new)


def test_a_flood_of_unknown_keys_does_not_reach_the_issuer(usage: RestFunction, issuer: TokenIssuer) -> None:
    assert let_in(usage, issuer.token(org="school"))
    for number in range(30):
        forged = signed(issuer.claims(), private_key("RS256", "other"), "RS256", {"kid": f"no-{number}"})
        assert "does not publish" in refusal(usage, forged)
    assert issuer.asked.count(KEYS) == 1
    assert let_in(usage, issuer.token(org="school"))


def test_threads_that_name_an_unknown_key_wait_for_one_fetch(
    usage: RestFunction, issuer: TokenIssuer, clock: Clock
) -> None:
    assert let_in(usage, issuer.token(org="school"))
    issuer.keys = [public_jwk("ES256", "key-2")]
    new = issuer.token("ES256", "key-2", org="school")
    clock.now_s += PAUSE_S
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: let_in(usage, new), range(4))) == [True] * 4
    assert issuer.asked.count(KEYS) == 2


def test_while_the_issuer_is_down_who_is_known_gets_in(usage: RestFunction, issuer: TokenIssuer, clock: Clock) -> None:
    token = issuer.token(org="school")
    assert let_in(usage, token)
    issuer.status = 503
    clock.now_s += FRESH_S
    with logged() as lines:
        assert let_in(usage, token)
    [warned] = [line for line in lines() if line.get("message") == "signing keys not refreshed"]
    assert warned["reason"] == "The issuer of logins answered 503 when it was asked for its keys."
    assert [line for line in lines() if "SigningKeysNotRefreshed" in line]


def test_an_issuer_that_is_down_from_the_beginning_is_a_503(
    usage: RestFunction, issuer: TokenIssuer, clock: Clock
) -> None:
    issuer.status, token = 500, issuer.token(org="school")
    for _ in range(3):
        answer = ask(usage, token)
        assert (answer.status, answer.error["code"]) == (503, "issuer_unavailable")
        assert "answered 500" in answer.error["message"]
    assert len(issuer.asked) == 1, "it is left alone for a while"
    assert let_in(usage, usage.key("school")), "keys need no issuer"
    issuer.status = 200
    clock.now_s += FIRST_PAUSE_S
    assert let_in(usage, token)


def test_an_issuer_that_nobody_hears_from_is_waited_for_within_the_request_s_time(
    usage: RestFunction, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "0.3")
    usage.restart()
    issuer.may_answer.clear()
    answer = ask(usage, issuer.token(org="school"))
    assert (answer.status, answer.error["code"]) == (503, "issuer_unavailable")
    assert "no answer in time" in answer.error["message"]


def test_redirects_and_other_issuers_documents_are_not_followed(usage: RestFunction, issuer: TokenIssuer) -> None:
    issuer.status = 302
    assert ask(usage, issuer.token(org="school")).status == 503
    issuer.status, issuer.issuer = 200, "https://else.example.com"
    usage.restart()
    answer = ask(usage, issuer.token(org="school"))
    assert (answer.status, answer.error["message"]) == (
        503,
        "The issuer's discovery document is of another issuer.",
    )
    assert KEYS not in issuer.asked


@pytest.mark.parametrize("url", ["http://192.0.2.1/keys", "file:///keys", 7, None, "https://a b"])
def test_keys_are_fetched_by_https_alone(
    usage: RestFunction, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch, url: Any
) -> None:
    monkeypatch.setattr(issuer, "document", lambda _: {"issuer": issuer.url, "jwks_uri": url})
    answer = ask(usage, issuer.token(org="school"))
    assert answer.status == 503
    assert "no jwks_uri of https" in answer.error["message"]


def test_a_set_url_of_the_keys_is_asked_in_place_of_the_discovery_document(
    usage: RestFunction, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_JWKS_URL", f"{issuer.url}/other-keys?app=llm")
    usage.restart()
    assert let_in(usage, issuer.token(org="school"))
    assert issuer.asked == ["/other-keys?app=llm"]
