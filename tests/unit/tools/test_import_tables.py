import pytest

from tools.import_tables import choose

LEFT = ["sluice-DirectoryTable-1A", "sluice-UsageTable-2B", "sluice-UsageTable-3C", "other-DirectoryTable-4D"]


def test_the_only_table_that_a_stack_of_this_name_has_left_is_chosen() -> None:
    assert choose(["DirectoryTable"], LEFT, "sluice", {}) == {"DirectoryTable": "sluice-DirectoryTable-1A"}


def test_a_table_that_is_named_is_chosen() -> None:
    named = {"UsageTable": "sluice-UsageTable-3C"}
    assert choose(["UsageTable"], LEFT, "sluice", named) == named


@pytest.mark.parametrize(
    ("wanted", "named", "said"),
    [
        ("UsageTable", {}, "sluice-UsageTable-2B, sluice-UsageTable-3C. Say --table UsageTable="),
        ("QuestionsTable", {}, "There is: none"),
        ("DirectoryTable", {"DirectoryTable": "gone"}, "There is: gone"),
    ],
)
def test_what_cannot_be_chosen_is_asked_for(wanted: str, named: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        choose([wanted], LEFT, "sluice", named)
