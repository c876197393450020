"""Narratives: a text with a number that is in none of the findings is not shown."""

import pytest

from sluice.insights.narrative import checked

FACTS = [
    "Usage Requests Rise Detected (alert, high priority). Usage requests of 2026-11-25 was 2,480 requests, 148.0% "
    "above what is usual; 640 requests to 1,510 requests was expected.",
    "Usage Cost Increasing Trend (trend, medium priority). Usage cost has increased 31.5% over 12 weeks to $4.20.",
]


@pytest.mark.parametrize(
    "text",
    [
        "Requests rose on 2026-11-25.",
        "On 2026-11-25 there were 2,480 requests, 148% above the usual 640 to 1510.",
        "Costs are up 31.50 percent over twelve weeks. One thing to look at is the key.",
        "They cost $4.2 now.",
        "",
    ],
)
def test_a_text_with_the_findings_own_numbers_is_shown(text: str) -> None:
    assert checked(text, FACTS).status == "written"


@pytest.mark.parametrize(
    "text",
    [
        "There were 2,481 requests.",
        "There were 2.5k requests.",
        "There were 2,480 million requests.",
        "Costs are up 148.",  # which is a percentage
        "There were 640% more.",
        "Costs are up 32 %.",
        "Requests more than doubled.",
        "There were two and a half times as many.",
        "There were dozens of them.",
        "A tenfold rise.",
        "It happened on 2026-11-24.",
        "It is ½ of that.",
        "There were ٣٠٠ of them.",
        "There were \uff13\uff10\uff10 of them.",
        "There were 二 of them.",
        "Phase Ⅳ of it.",
        "About 1e6 of them.",
        "x² of them.",
        "About a third of them failed.",
        "Two-thirds of it.",
        "A fifth more than usual.",
        "One tenth of it.",
        "It fell by half.",
        "A quarter less.",
        "They fell to zero.",
        "There were nil.",
        "It is double that.",
        "Twice as many.",
        "Costs trebled.",
        "It quintupled.",
        "A couple of days.",
    ],
)
def test_a_text_with_any_other_number_is_not(text: str) -> None:
    found = checked(text, FACTS)
    assert (found.status, found.text) == ("dropped", None)
    assert "none of the insights" in str(found.reason)


def test_a_fraction_or_a_nothing_that_the_findings_name_may_be_said_in_words() -> None:
    facts = ["Third party calls of 2026-11-25 was 0 calls; 0.2 calls to 0.50 calls was expected."]
    assert checked("Calls of the third party fell to zero, from a fifth to half.", facts).status == "written"
