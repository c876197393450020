"""What share of the requests a model has answered."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.routing.shares import ModelShares, TenantShares


def noted(*models: str) -> ModelShares:
    shares = ModelShares()
    for model in models:
        shares.note(model)
    return shares


def test_of_few_requests_a_share_says_nothing() -> None:
    assert noted().share("large") == 0
    assert noted(*["large"] * 19).share("large") == 0
    assert noted(*["large"] * 20).share("large") == pytest.approx(1)


def test_a_share_is_that_of_what_was_answered_lately() -> None:
    shares = noted(*["small", "small", "small", "large"] * 100)
    assert shares.share("large") == pytest.approx(0.25, abs=0.01)
    assert shares.above(0.2) == ("large", "small")
    assert shares.above(0.3) == ("small",)
    assert shares.above(1.0) == ()
    for _ in range(600):
        shares.note("small")
    assert shares.share("large") < 0.02
    assert shares.share("nobody") == 0


@given(st.lists(st.sampled_from("abc"), min_size=20, max_size=300))
def test_shares_are_parts_of_a_whole(models: list[str]) -> None:
    shares = noted(*models)
    assert sum(shares.share(model) for model in "abc") == pytest.approx(1)
    assert all(0 <= shares.share(model) <= 1 for model in "abc")


def test_threads_lose_no_request() -> None:
    shares = ModelShares()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shares.note, ["a", "b"] * 200))
    assert shares.share("a") + shares.share("b") == pytest.approx(1)


def test_a_tenant_with_a_cap_of_its_own_has_shares_of_its_own() -> None:
    shares = TenantShares()
    for _ in range(30):
        shares.note("large", "school")
        for _ in range(3):
            shares.note("small")
    assert shares.above(0.5, "school") == ("large",)
    assert shares.above(0.5) == ("small",)
    assert shares.above(0.1, "another") == ()
