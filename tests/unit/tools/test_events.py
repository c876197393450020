"""The sample events of events/ are what the routes' declarations make of them."""

import pytest

from sluice.api.route import Route
from sluice.api.routes import ROUTES
from tools import events


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_a_route_has_its_sample(route: Route) -> None:
    """`python -m tools.events` writes them."""
    assert events.path_of(route).read_text() == events.text_of(route)


def test_there_are_no_samples_of_routes_that_are_gone() -> None:
    assert events.sampled() == {events.PAGE, *(events.path_of(route) for route in ROUTES)}


def test_the_console_s_page_has_its_sample() -> None:
    assert events.PAGE.read_text() == events.page_text()
