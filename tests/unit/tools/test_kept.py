"""What is kept between runs, and when that is taken for nothing."""

import json
from pathlib import Path

import pytest

from tools.kept import Kept, KeptError, KeptState

KEPT = Kept("123456789012", {"caller": "sl-caller", "operator": "sl-operator"})


def test_what_a_run_has_written_the_next_one_finds(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = KeptState(folder)
    assert first.before is None
    first.write(KEPT)
    assert KeptState(folder).before == KEPT
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "kept.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["kept.json"]


def test_what_is_left_of_a_run_that_never_came_up_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "dynamodb.json").write_text("half a stack")
    assert KeptState(folder).before is None
    assert list(folder.iterdir()) == []


def test_ministack_keeps_all_of_its_state_there(tmp_path: Path) -> None:
    variables = KeptState(tmp_path / "kept").variables
    assert (variables["PERSIST_STATE"], variables["S3_PERSIST"]) == ("1", "1")
    assert {Path(variables[name]).parent for name in ("STATE_DIR", "S3_DATA_DIR")} == {tmp_path / "kept"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"account": "1"})])
def test_what_is_damaged_is_left_as_it_is(content: str, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "kept.json"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(KeptError, match=r"kept.json is damaged. It is left as it is. To begin anew, move that folder"):
        KeptState(tmp_path / "kept")
    assert file.read_text() == content
