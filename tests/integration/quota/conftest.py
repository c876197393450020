"""A ledger and its clock."""

import pytest

from sluice.quota.ledger import Ledger
from tests.conftest import Aws
from tests.ledgers import Clock, process


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(aws: Aws, clock: Clock) -> Ledger:
    return process(aws, clock)
