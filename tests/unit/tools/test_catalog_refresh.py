from decimal import Decimal

import pytest

from sluice.catalog.catalog import Catalog
from tools.refresh_catalog import CATALOG, Quote, refresh

TEXT = """# Prices: a snapshot of 2026-01-02 by genai-prices 0.1.0. tools/refresh_catalog.py takes a new one.

[[models]]
id = "small"
context_window = 8_192
price = { prompt_usd = 0.05, completion_usd = 0.08 } # genai-prices: groq small-1
aliases = ["s"]

[[models]]
id = "own"
context_window = 8_192
price = { prompt_usd = 1.0, completion_usd = 1.0 }

[replacements]
"old" = "small"
"""


def quote(provider: str, model: str) -> Quote:
    assert (provider, model) == ("groq", "small-1")
    return Quote(Decimal("0.0600"), Decimal(2), None)


def test_prices_with_a_source_are_rewritten_and_nothing_else() -> None:
    refreshed = refresh(TEXT, quote, "genai-prices 9.9.9", "2026-11-21")
    assert refreshed == TEXT.replace("0.05", "0.06").replace("0.08", "2.0").replace("2026-01-02", "2026-11-21").replace(
        "genai-prices 0.1.0", "genai-prices 9.9.9"
    )


def test_the_price_of_what_is_cached_is_written_where_there_is_one() -> None:
    def cached(provider: str, model: str) -> Quote:
        return Quote(Decimal(1), Decimal(2), None, Decimal("0.10"))

    refreshed = refresh(TEXT, cached, "genai-prices 9.9.9", "2026-11-21")
    assert (
        "{ prompt_usd = 1.0, completion_usd = 2.0, cached_prompt_usd = 0.1 } # genai-prices: groq small-1" in refreshed
    )
    assert "cached_prompt_usd" not in refresh(refreshed, quote, "genai-prices 9.9.9", "2026-11-21")


def test_what_is_taken_into_a_cache_has_prices_of_its_own() -> None:
    def written(provider: str, model: str) -> Quote:
        return quote(provider, model)._replace(cache_write_usd=Decimal("1.25"), long_cache_write_usd=Decimal(2))

    refreshed = refresh(TEXT, written, "genai-prices 9.9.9", "2026-11-21")
    assert "completion_usd = 2.0, cache_write_usd = 1.25, long_cache_write_usd = 2.0 } # genai-prices" in refreshed


def test_a_price_that_rises_within_the_context_window_is_refused() -> None:
    def rising(provider: str, model: str) -> Quote:
        return Quote(Decimal(1), Decimal(1), 8_191)

    with pytest.raises(ValueError, match="small: the price rises at 8191 tokens"):
        refresh(TEXT, rising, "genai-prices 9.9.9", "2026-11-21")


def test_a_header_without_a_date_is_refused() -> None:
    with pytest.raises(ValueError, match="header"):
        refresh(TEXT.replace("a snapshot of", "from"), quote, "genai-prices 9.9.9", "2026-11-21")


def test_every_priced_row_of_the_catalogue_is_found_by_the_refresher() -> None:
    asked: list[tuple[str, str]] = []

    def note(provider: str, model: str) -> Quote:
        asked.append((provider, model))
        return Quote(Decimal(7), Decimal(8), None)

    refreshed = refresh(CATALOG.read_text(), note, "genai-prices 9.9.9", "2026-11-21")
    priced = [model for model in Catalog.read().models if model.price.prompt_usd]
    assert len(asked) == len(priced) > 10
    assert refreshed.count("{ prompt_usd = 7.0, completion_usd = 8.0 }") == len(priced)
