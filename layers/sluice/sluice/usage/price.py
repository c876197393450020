"""What a request costs. Pure."""

import math
from decimal import Decimal

from sluice.catalog.model import TokenPrice
from sluice.chat import Usage

# A price is per million tokens: one dollar per million is a thousand billionths per token.
_NANOUSD_PER_TOKEN = 1_000


def cost_nanousd(usage: Usage, price: TokenPrice) -> int:
    """What `usage` costs at `price`, in billionths of a dollar, rounded up."""
    cached_usd = price.prompt_usd if price.cached_prompt_usd is None else price.cached_prompt_usd
    write_usd = price.prompt_usd if price.cache_write_usd is None else price.cache_write_usd
    long_usd = write_usd if price.long_cache_write_usd is None else price.long_cache_write_usd
    written, long = usage.cache_write_tokens, usage.long_cache_write_tokens
    counted = (
        (price.prompt_usd, usage.prompt_tokens - usage.cached_prompt_tokens - written),
        (cached_usd, usage.cached_prompt_tokens),
        (write_usd, written - long),
        (long_usd, long),
        (price.completion_usd, usage.completion_tokens),
    )
    # By way of their shortest decimal form, prices count as they are written: 0.1 is a tenth.
    return math.ceil(sum(Decimal(repr(usd)) * tokens for usd, tokens in counted) * _NANOUSD_PER_TOKEN)
