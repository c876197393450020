"""Which pages of other origins may read answers."""

import pytest

from sluice.api.cors import answer_headers, preflight_headers

PAGE = "https://console.example.com"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


@pytest.mark.parametrize("origin", [None, PAGE])
def test_without_origins_nothing_is_said(origin: str | None) -> None:
    assert answer_headers((), origin) == {}
    assert preflight_headers((), ["POST"], PREFLIGHT) == {}


def test_a_page_of_an_allowed_origin_may_read_and_no_other() -> None:
    allowed = answer_headers((PAGE,), PAGE)
    assert allowed["access-control-allow-origin"] == PAGE
    assert allowed["access-control-expose-headers"] == "*"
    for origin in (None, "https://evil.example.com", "null", f"{PAGE}.evil.example"):
        assert answer_headers((PAGE,), origin) == {"vary": "origin"}


def test_a_cache_keeps_answers_of_origins_apart_only_where_they_differ() -> None:
    assert answer_headers((PAGE,), PAGE)["vary"] == "origin"
    assert answer_headers(("*",), PAGE) == {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}


def test_a_browser_that_asks_beforehand_is_told_what_it_may_send() -> None:
    told = preflight_headers((PAGE,), ["GET", "POST"], PREFLIGHT)
    assert told["access-control-allow-methods"] == "GET, POST"
    assert told["access-control-allow-headers"] == "authorization, content-type"
    assert preflight_headers((PAGE,), ["POST"], {}) == {}


def test_what_is_no_name_of_a_header_is_not_repeated() -> None:
    odd = {**PREFLIGHT, "access-control-request-headers": "x\r\nset-cookie: a=b"}
    assert preflight_headers((PAGE,), ["POST"], odd)["access-control-allow-headers"] == ""
