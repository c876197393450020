"""What the infrastructure of a request costs, from the prices that are kept."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.reader import SHARED
from sluice.request_log.infrastructure import cost_of, prices_for
from sluice.request_log.trace import RequestTrace
from sluice.storage.metering import ConsumedUnits

PRICES = prices_for(1024, is_arm=True)


def test_prices_say_where_and_when_they_are_from() -> None:
    found = tomllib.loads((SHARED / "aws_prices.toml").read_text())
    assert date.fromisoformat(found["looked_up"]) <= date.today()  # noqa: DTZ011
    assert all(source.startswith("https://aws.amazon.com/") for source in found["sources"])


def test_a_second_of_a_gigabyte_and_what_it_wrote_costs_what_the_pages_say() -> None:
    cost = cost_of(PRICES, 1.0, read_units=2, write_units=3, line_bytes=2_060)
    assert cost.api == pytest.approx(3_500)
    assert cost.function == pytest.approx(200 + 13_333.4)
    assert cost.dynamodb == pytest.approx(2 * 125 + 3 * 625)
    assert cost.logs == pytest.approx(1_500)
    assert cost.nanousd == 20_659


def test_half_the_memory_is_half_the_time_s_price_and_arm_a_fifth_less() -> None:
    assert prices_for(512, is_arm=True).function_ms == pytest.approx(PRICES.function_ms / 2)
    assert prices_for(1024, is_arm=False).function_ms == pytest.approx(PRICES.function_ms * 1.25, rel=1e-4)


@given(st.floats(0, 900), st.floats(0, 900), st.integers(0, 100))
def test_more_never_costs_less(one_s: float, other_s: float, units: int) -> None:
    shorter, longer = sorted((one_s, other_s))
    less = cost_of(PRICES, shorter, read_units=units, write_units=units, line_bytes=units)
    more = cost_of(PRICES, longer, read_units=units + 1, write_units=units, line_bytes=units + 1)
    assert less.nanousd <= more.nanousd


def test_threads_count_all_units() -> None:
    units = ConsumedUnits()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: units.add(read=0.5, write=1), range(1_000)))
    assert (units.read, units.write) == (500, 1_000)


def test_of_several_questions_each_has_its_part_of_the_cost() -> None:
    trace = RequestTrace()
    trace.units.add(write=2)
    first = trace.take_infra_nanousd()
    trace.units.add(write=3)
    second = trace.take_infra_nanousd()
    assert second >= 3 * 625
    assert first + second <= trace.infra_nanousd()
