from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.catalog import catalog
from sluice.catalog.model import Price, TokenPrice
from sluice.catalog.money import to_usd
from sluice.chat import Usage
from sluice.usage.price import cost_nanousd

tokens = st.integers(0, 10_000_000)
# As prices are written: a few decimals.
dollars = st.integers(0, 10_000_000).map(lambda millionths: millionths / 100_000)


@given(prompt=tokens, completion=tokens, prompt_usd=dollars, completion_usd=dollars)
def test_a_cost_is_exact_but_for_rounding_up_once(
    prompt: int, completion: int, prompt_usd: float, completion_usd: float
) -> None:
    cost = cost_nanousd(Usage(prompt, completion), Price(prompt_usd, completion_usd))
    # The written price as an exact fraction of dollars per token, by way of integers.
    exact = (
        Fraction(round(prompt_usd * 100_000), 100_000) * prompt
        + Fraction(round(completion_usd * 100_000), 100_000) * completion
    ) / 1_000_000
    assert cost == ceil(exact * 1_000_000_000)


@given(usage=st.builds(Usage, tokens, tokens), price=st.builds(Price, dollars, dollars))
def test_a_cost_never_falls_when_more_is_used(usage: Usage, price: Price) -> None:
    more = Usage(usage.prompt_tokens + 1, usage.completion_tokens + 1)
    assert cost_nanousd(more, price) >= cost_nanousd(usage, price) >= 0


@pytest.mark.parametrize(
    ("usage", "price", "nanousd"),
    [
        (Usage(0, 0), Price(0.05, 0.08), 0),
        (Usage(100, 50), Price(0.27, 0.27), 40_500),  # a price of the first hour: 150 tokens at 0.27
        (Usage(1, 0), Price(0.0001, 0), 1),
        (Usage(1_000_000, 1_000_000), Price(0.59, 0.79), 1_380_000_000),
        (Usage(3, 0), Price(0.1, 0), 300),  # in binary, 3 * 0.1 is over 0.3
    ],
)
def test_known_costs(usage: Usage, price: Price, nanousd: int) -> None:
    assert cost_nanousd(usage, price) == nanousd


def test_what_the_provider_had_cached_has_its_own_price_where_there_is_one() -> None:
    usage = Usage(1_000, 100, cached_prompt_tokens=800)
    assert cost_nanousd(usage, Price(1.0, 2.0, 0.1)) == 200_000 + 80_000 + 200_000
    assert cost_nanousd(usage, Price(1.0, 2.0)) == cost_nanousd(Usage(1_000, 100), Price(1.0, 2.0))
    assert cost_nanousd(usage, Price(1.0, 2.0, 0.0)) == 200_000 + 200_000


def test_what_the_provider_took_into_its_cache_costs_more_where_it_does() -> None:
    usage = Usage(1_000, 100, cached_prompt_tokens=500, cache_write_tokens=300, long_cache_write_tokens=100)
    price = Price(1.0, 2.0, 0.1, cache_write_usd=1.25, long_cache_write_usd=2.0)
    assert cost_nanousd(usage, price) == 200_000 + 50_000 + 250_000 + 200_000 + 200_000
    assert cost_nanousd(usage, Price(1.0, 2.0, 0.1, cache_write_usd=1.25)) == 200_000 + 50_000 + 375_000 + 200_000
    assert cost_nanousd(usage, Price(1.0, 2.0, 0.1)) == 500_000 + 50_000 + 200_000


@pytest.mark.parametrize(
    ("tier", "nanousd"),
    [("priority", 6_000), ("flex", 1_500), ("default", 3_000), (None, 3_000), (7, 3_000), ({}, 3_000)],
)
def test_a_service_tier_has_its_own_price_where_there_is_one(tier: object, nanousd: int) -> None:
    price = Price(1.0, 2.0, None, {"priority": TokenPrice(2.0, 4.0), "flex": TokenPrice(0.5, 1.0)})
    assert cost_nanousd(Usage(1, 1), price.of_tier(tier)) == nanousd


def test_dollars_are_exact() -> None:
    assert to_usd(1_380_000_001) == Decimal("1.380000001")


def test_the_prices_of_the_catalogue_can_be_counted_with() -> None:
    for model in catalog().models:
        assert cost_nanousd(Usage(1_000_000, 0), model.price) == round(model.price.prompt_usd * 1e9)
