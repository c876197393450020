"""Money is counted in whole billionths of a US dollar, so that sums are exact."""

from decimal import Decimal

NANOUSD_PER_USD = 1_000_000_000


def to_usd(nanousd: int) -> Decimal:
    """Billionths of a dollar as dollars, exactly."""
    return Decimal(nanousd) / NANOUSD_PER_USD


def to_nanousd(usd: Decimal) -> int:
    """Dollars as billionths of one; what is less than that is left out."""
    return int(usd * NANOUSD_PER_USD)
