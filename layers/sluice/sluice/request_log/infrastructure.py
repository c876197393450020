"""Cost of the infrastructure that answers a request, estimated from what it used and from AWS's list prices."""

import math
import os
import platform
from functools import cache

from sluice.catalog.money import NANOUSD_PER_USD
from sluice.catalog.reader import SHARED
from sluice.loading.dataclass import dataclass
from sluice.loading.toml import read_toml

_PRICES = SHARED / "aws_prices.toml"
_MILLION = 1_000_000
_MB_PER_GB = 1024
_BYTES_PER_GB = 10**9
# Of the chat function, where there is no Lambda that says its own.
_DEFAULT_MEMORY_MB = 1024


@dataclass(frozen=True, slots=True)
class InfrastructurePrices:
    """Prices in billionths of a dollar, of a request, a millisecond of the function, and a unit of DynamoDB's."""

    api_request: float
    function_request: float
    function_ms: float
    write_unit: float
    read_unit: float
    logged_byte: float
    bytes_beside_a_line: int


@dataclass(frozen=True, slots=True)
class InfrastructureCost:
    """What a request costs, in billionths of a dollar."""

    api: float
    function: float
    dynamodb: float
    logs: float

    @property
    def nanousd(self) -> int:
        """All of it."""
        return math.ceil(self.api + self.function + self.dynamodb + self.logs)


def cost_of(
    prices: InfrastructurePrices, duration_s: float, *, read_units: float, write_units: float, line_bytes: int
) -> InfrastructureCost:
    """What a request costs that took its function so long, DynamoDB so many units, and the log a line so long. Pure.

    Lambda bills each millisecond that has begun.
    """
    return InfrastructureCost(
        api=prices.api_request,
        function=prices.function_request + math.ceil(duration_s * 1000) * prices.function_ms,
        dynamodb=read_units * prices.read_unit + write_units * prices.write_unit,
        logs=(line_bytes + prices.bytes_beside_a_line) * prices.logged_byte,
    )


def prices_for(memory_mb: int, *, is_arm: bool) -> InfrastructurePrices:
    """Prices for a function of so much memory. ValueError, KeyError for a file that is not what it should be."""
    found = read_toml(_PRICES)
    gb_second = found["lambda"]["arm64_gb_second" if is_arm else "x86_64_gb_second"]
    return InfrastructurePrices(
        api_request=_nanousd(found["api_gateway"]["million_requests"] / _MILLION),
        function_request=_nanousd(found["lambda"]["million_requests"] / _MILLION),
        function_ms=_nanousd(gb_second * memory_mb / _MB_PER_GB / 1000),
        write_unit=_nanousd(found["dynamodb"]["million_write_units"] / _MILLION),
        read_unit=_nanousd(found["dynamodb"]["million_read_units"] / _MILLION),
        logged_byte=_nanousd(found["logs"]["gigabyte"] / _BYTES_PER_GB),
        bytes_beside_a_line=found["logs"]["bytes_beside_a_line"],
    )


@cache
def own_prices() -> InfrastructurePrices:
    """Prices for this function, by the memory that Lambda says it has."""
    memory_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or _DEFAULT_MEMORY_MB)
    return prices_for(memory_mb, is_arm=platform.machine() in {"arm64", "aarch64"})


def _nanousd(usd: float) -> float:
    return usd * NANOUSD_PER_USD
