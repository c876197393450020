"""What a request costs. Pure. Money is counted in whole billionths of a US dollar, so that sums are exact."""

import math
from decimal import Decimal

from sluice.catalog import Price
from sluice.chat import Usage

NANOUSD_PER_USD = 1_000_000_000
# A price is per million tokens: one dollar per million is a thousand billionths per token.
_NANOUSD_PER_TOKEN = 1_000


def cost_nanousd(usage: Usage, price: Price) -> int:
    """What `usage` costs at `price`, in billionths of a dollar, rounded up."""
    # By way of their shortest decimal form, prices count as they are written: 0.1 is a tenth.
    prompt = Decimal(repr(price.prompt_usd)) * usage.prompt_tokens
    completion = Decimal(repr(price.completion_usd)) * usage.completion_tokens
    return math.ceil((prompt + completion) * _NANOUSD_PER_TOKEN)


def to_usd(nanousd: int) -> float:
    """Billionths of a dollar as dollars, for people to read."""
    return nanousd / NANOUSD_PER_USD
