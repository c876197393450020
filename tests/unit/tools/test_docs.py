"""The tables of the documentation: equal to what code and data say."""

from pathlib import Path

import pytest

from tools import docs
from tools.processes import ROOT


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_its_tables_as_they_are_written_now(page: Path) -> None:
    assert page.read_text() == docs.written(page.read_text()), "python -m tools.docs writes them"


def test_every_table_stands_on_a_page() -> None:
    text = "".join(page.read_text() for page in docs.pages())
    assert [name for name in docs.TABLES if f"\n<!-- {name} -->\n" not in text] == []


def test_what_stands_between_the_marks_is_replaced_and_nothing_else() -> None:
    page = "before\n<!-- tasks -->\nold\n<!-- /tasks -->\nafter\n<!-- not a table -->\n"
    written = docs.written(page)
    assert written == f"before\n<!-- tasks -->\n\n{docs.tasks()}\n\n<!-- /tasks -->\nafter\n<!-- not a table -->\n"
    assert docs.written(written) == written


def test_a_table_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no table 'prices'"):
        docs.written("<!-- prices -->\n<!-- /prices -->\n")


def test_a_cell_keeps_to_its_row_and_column() -> None:
    for table in docs.TABLES.values():
        columns = 0
        for line in table().splitlines():
            cells = line.replace(r"\|", "").count("|")
            assert line.startswith("|") == (cells > 0) or not columns
            assert columns in (0, cells) or cells == 0
            columns = cells


def test_a_decision_says_its_number_its_title_its_status_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "DECISIONS", tmp_path)
    (tmp_path / "0001-a.md").write_text("# 0001. A is so\n\nAccepted, 2026-11-21\n\n**Context.** None.\n")
    (tmp_path / "0002-b.md").write_text(
        "# 0002. B is so\n\nAccepted, 2026-11-22; superseded by [0003](0003-c.md), 2026-11-23\n\n**Context.** None.\n"
    )
    assert docs.decisions().splitlines()[2:] == [
        "| [0001](0001-a.md) | A is so | accepted | 2026-11-21 |",
        "| [0002](0002-b.md) | B is so | superseded by [0003](0003-c.md) | 2026-11-22 |",
    ]
    (tmp_path / "0002-b.md").write_text("# B is so\n\n**Context.** None.\n")
    with pytest.raises(ValueError, match=r"0002-b\.md begins with"):
        docs.decisions()
