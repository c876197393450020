"""What a model has written, held against what tools and passages say."""

import pytest

from sluice.answering.checking import filled, is_supported
from sluice.answering.passages import Chunk, Passage
from sluice.guards.numerals import numerals_in

VALUES = {1: "cost $1.94", 2: "requests 12"}
COMPOSED = "From 2026-02-01 to 2026-02-28, for tenant acme: cost $1.94, requests 12."


def is_said(text: str, source: str) -> bool:
    chunk = Chunk(store="", document="d", number=0, title="", link="", text=source, score=1.0)
    return is_supported(f"{text} [1].", "", [Passage(chunk, (source,))])


@pytest.mark.parametrize(
    "claim",
    [
        "a third of the cost",
        "a quarter of the cost",
        "half the cost",
        "the cost doubled",
        "the cost tripled",
        "the cost was halved",
        "a tenfold cost",
        "the trillion",
        "zero requests",
        "fiftyfive requests",
        "a hundredth of the cost",
        "thrice the cost",
        "nothing",
        "the 5th cost",
        "the Ⅻ requests",
    ],
)
def test_no_number_that_no_tool_gave_is_said_beside_figures(claim: str) -> None:
    assert filled(f"The tenant acme: {claim}, {{1}} and {{2}}.", VALUES, COMPOSED, "") is None


def test_figures_are_all_said_and_in_words_of_the_composed_answer() -> None:
    said = "Ahoy! For acme the {1} and the {2}."
    assert filled(said, VALUES, COMPOSED, "") == "Ahoy! For acme the cost $1.94 and the requests 12."
    assert filled("For acme the {1}.", VALUES, COMPOSED, "") is None
    assert filled("For acme the {1}, {2}, {3}.", VALUES, COMPOSED, "") is None
    assert filled(f"{said} Bob stole money from the till.", VALUES, COMPOSED, "") is None
    assert filled(f"{said} Who stole money?", VALUES, COMPOSED, "Who stole the money?") is not None


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("The monthly limit of the tenant is 15", "The monthly limit of the tenant is 1,5"),
        ("The monthly limit of the tenant is 1,5", "The monthly limit of the tenant is 15"),
        ("The monthly limit of the tenant is 20", "The monthly limit of the tenant is -20"),
        ("The monthly limit of the tenant is $20", "The monthly limit of the tenant is \u2212$20"),
        ("The monthly limit of the tenant is 20", "The monthly limit of the tenant is minus 20"),
        ("The monthly limit of the tenant is -20", "The monthly limit of the tenant is 20"),
        ("The monthly limit of the tenant is 3", "The monthly limit of the tenant is 3 %"),
        ("The monthly limit of the tenant is 3", "The monthly limit of the tenant is 3 percent"),
        ("The monthly limit of the tenant is 3 %", "The monthly limit of the tenant is 3"),
        ("The monthly limit of the tenant is 3 %", "The monthly limit of the tenant is 3 percentage points"),
        ("The monthly limit of the tenant is 5", "The monthly limit of the tenant is .5"),
        ("The monthly limit of the tenant is 20", "The monthly limit of the tenant is 20k"),
        ("The monthly limit of the tenant is 20", "The monthly limit of the tenant is 20 million"),
        ("The monthly limit of the tenant is 1500", "The monthly limit of the tenant is 1.500"),
        ("The monthly limit of the tenant is doubled", "The monthly limit of the tenant is raised"),
    ],
)
def test_a_number_of_another_sign_size_or_unit_supports_nothing(said: str, source: str) -> None:
    assert not is_said(said, source)
    assert is_said(source, source)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("The monthly limit of the tenant is 1500", "The monthly limit of the tenant is 1,500"),
        ("The monthly limit of the tenant is 1,234,567.5", "The monthly limit of the tenant is 1234567.5"),
        ("The monthly limit of the tenant is 3%", "The monthly limit of the tenant is 3 percent"),
        ("The monthly limit of the tenant is -20", "The monthly limit of the tenant is minus 20"),
        ("The monthly limit of the tenant is $20", "The monthly limit of the tenant is $20 (gpt-4o)"),
        ("The monthly limit of the tenant is 0.5", "The monthly limit of the tenant is .5"),
    ],
)
def test_a_number_may_be_written_another_way(said: str, source: str) -> None:
    assert is_said(said, source)


def test_numbers_of_dates_and_names_have_no_sign() -> None:
    assert numerals_in("gpt-4o on 2026-02-20") == {("number", "4"), ("date", "2026-02-20")}
