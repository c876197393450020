"""What a request costs. Pure."""

import math
from decimal import Decimal

from sluice.catalog import TokenPrice
from sluice.chat import Usage

# A price is per million tokens: one dollar per million is a thousand billionths per token.
_NANOUSD_PER_TOKEN = 1_000


def cost_nanousd(usage: Usage, price: TokenPrice) -> int:
    """What `usage` costs at `price`, in billionths of a dollar, rounded up."""
    cached_usd = price.prompt_usd if price.cached_prompt_usd is None else price.cached_prompt_usd
    # By way of their shortest decimal form, prices count as they are written: 0.1 is a tenth.
    prompt = Decimal(repr(price.prompt_usd)) * (usage.prompt_tokens - usage.cached_prompt_tokens)
    cached = Decimal(repr(cached_usd)) * usage.cached_prompt_tokens
    completion = Decimal(repr(price.completion_usd)) * usage.completion_tokens
    return math.ceil((prompt + cached + completion) * _NANOUSD_PER_TOKEN)
