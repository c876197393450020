"""Rewrites the prices in shared/models.toml with those that the genai-prices package knows today.

    uv run --no-project --with genai-prices python tools/refresh_catalog.py

A price is rewritten if its line ends in `# genai-prices: <provider> <model>`. Nothing is written if one of them is not
known, or rises within the model's context window: then the catalogue has to be changed by hand first.
"""

import re
import sys
import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

CATALOG = Path(__file__).parent.parent / "shared" / "models.toml"
PRICE = re.compile(r"^price = \{[^}]*\} # genai-prices: (?P<provider>\S+) (?P<model>\S+)$", re.MULTILINE)
SNAPSHOT = re.compile(r"a snapshot of \d{4}-\d\d-\d\d by genai-prices [\w.]+\.(?= tools/)")


class Quote(NamedTuple):
    """US dollars per million tokens; `holds_to` is the prompt length at which the price rises, None if it does not.

    `cached_prompt_usd` is for what of a prompt the provider has cached, `cache_write_usd` for what it takes into its
    cache and `long_cache_write_usd` for what it keeps there for an hour, None if that costs the same.
    """

    prompt_usd: Decimal
    completion_usd: Decimal
    holds_to: int | None
    cached_prompt_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    long_cache_write_usd: Decimal | None = None


def refresh(text: str, quote: "Callable[[str, str], Quote]", source: str, today: str) -> str:
    """The catalogue's `text` with the prices that `quote(provider, model)` gives. Raises ValueError."""
    windows = {row["id"]: row["context_window"] for row in tomllib.loads(text)["models"]}
    blocks = text.split("[[models]]\n")
    for index, block in enumerate(blocks[1:], start=1):
        line = PRICE.search(block)
        if line is None:
            continue
        price = quote(line["provider"], line["model"])
        model = tomllib.loads(block.split("[replacements]")[0])["id"]
        if price.holds_to is not None and price.holds_to < windows[model]:
            raise ValueError(
                f"{model}: the price rises at {price.holds_to} tokens of prompt; set context_window to that at most"
            )
        priced = f"prompt_usd = {_number(price.prompt_usd)}, completion_usd = {_number(price.completion_usd)}"
        for name in ("cached_prompt_usd", "cache_write_usd", "long_cache_write_usd"):
            if (dollars := getattr(price, name)) is not None:
                priced += f", {name} = {_number(dollars)}"
        blocks[index] = PRICE.sub(f"price = {{ {priced} }} # genai-prices: {line['provider']} {line['model']}", block)
    refreshed, headers = SNAPSHOT.subn(f"a snapshot of {today} by {source}.", "[[models]]\n".join(blocks))
    if headers != 1:
        raise ValueError("the header no longer says of when the prices are")
    return refreshed


def _number(dollars: Decimal) -> str:
    text = format(dollars.normalize(), "f")
    return text if "." in text else f"{text}.0"


def _quote_today(provider: str, model: str) -> Quote:
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import TieredPrices

    known = [row for each in get_snapshot().providers if each.id == provider for row in each.models if row.id == model]
    if not known:
        raise ValueError(f"genai-prices knows no {model} of {provider}")
    prices = known[0].get_prices(datetime.now(UTC))
    starts = []
    dollars = []
    for price in (prices.input_mtok, prices.output_mtok):
        if price is None and prices.input_mtok is not None:
            # Nothing is said in answer: what makes vectors has a price of what it reads alone.
            dollars.append(Decimal(0))
            continue
        if price is None:
            raise ValueError(f"genai-prices has no price per token of {model} of {provider}")
        if isinstance(price, TieredPrices):
            starts += [tier.start for tier in price.tiers]
            price = price.base
        dollars.append(price)
    of_cache = (prices.cache_read_mtok, prices.cache_write_mtok, prices.cache_write_1h_mtok)
    bases = (price.base if isinstance(price, TieredPrices) else price for price in of_cache)
    return Quote(
        dollars[0], dollars[1], min(starts, default=None), *(base if base != dollars[0] else None for base in bases)
    )


def main() -> None:
    """Rewrite the file, or end with what keeps it from being rewritten."""
    before = CATALOG.read_text()
    source = f"genai-prices {version('genai-prices')}"
    try:
        after = refresh(before, _quote_today, source, f"{datetime.now(UTC):%Y-%m-%d}")
    except ValueError as error:
        sys.exit(str(error))
    CATALOG.write_text(after)
    changed = sum(old != new for old, new in zip(before.splitlines(), after.splitlines(), strict=True))
    print(f"{changed} lines changed")


if __name__ == "__main__":
    main()
