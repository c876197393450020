import base64

import pytest

from sluice.storage import metering
from sluice.storage.metering import ConsumedUnits


@pytest.mark.parametrize(
    ("item", "units"),
    [
        (None, 1),
        ({"key": {"S": "a"}, "r": {"N": "60"}}, 1),
        ({"key": {"S": "a"}, "answer": {"B": base64.b64encode(bytes(300 * 1024)).decode()}}, 301),
        ({"key": {"S": "a" * 2048}}, 3),
    ],
)
def test_a_write_that_is_refused_counts_by_the_item_that_refused_it(item: dict[str, object] | None, units: int) -> None:
    counted = ConsumedUnits()
    with metering.counting(counted):
        metering.refused("PutItem", item)
        metering.refused("GetItem", item)
    assert (counted.write, counted.read) == (units, 0)
