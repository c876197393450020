"""Limits of what may be spent, in dollars and tokens, as bodies and answers have them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.catalog.money import to_nanousd, to_usd
from sluice.tenants.tenant import SpendLimits

type _Dollars = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9)]
type _Tokens = Annotated[int, Field(ge=1, le=10**12)]


class GivenSpendLimits(BaseModel):
    """Dollars of a month, UTC, and tokens of any minute and any 24 hours. null, or what is left out, is no limit."""

    # A misspelt limit must not silently be no limit.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    budget_usd_per_month: _Dollars | None = None
    tokens_per_minute: _Tokens | None = None
    tokens_per_day: _Tokens | None = None

    def given(self) -> dict[str, int | None]:
        """What was given, null too, by the names of SpendLimits."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        if "budget_usd_per_month" in found:
            usd = found.pop("budget_usd_per_month")
            found["budget_nanousd"] = None if usd is None else to_nanousd(usd)
        return found

    def limits(self) -> dict[str, int]:
        """The limits there are, by the names of SpendLimits."""
        return {name: value for name, value in self.given().items() if value is not None}


class ShownSpendLimits(TypedDict):
    """Dollars of a month, UTC, and tokens of any minute and any 24 hours. null is no limit."""

    budget_usd_per_month: float | None
    tokens_per_minute: int | None
    tokens_per_day: int | None


def shown(limits: SpendLimits) -> ShownSpendLimits:
    """As the API shows them."""
    budget = limits.budget_nanousd
    return {
        "budget_usd_per_month": None if budget is None else float(to_usd(budget)),
        "tokens_per_minute": limits.tokens_per_minute,
        "tokens_per_day": limits.tokens_per_day,
    }


def shown_of_users(limits: Mapping[str, int]) -> ShownSpendLimits:
    """Those of users as the API shows them."""
    return shown(SpendLimits(**limits))
