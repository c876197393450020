"""What is read of a TOML file, and of the JSON that a layer's build puts beside it."""

import shutil
import tomllib
from pathlib import Path

import pytest

from sluice.loading.toml import read_toml
from tools import shared_json
from tools.processes import ROOT


def test_what_a_layer_reads_is_what_the_files_say(tmp_path: Path) -> None:
    built = tmp_path / "shared"
    shutil.copytree(ROOT / "shared", built)
    shared_json.main(built)
    paths = sorted(built.rglob("*.toml"))
    assert len(paths) > 20
    for path in paths:
        expected = tomllib.loads(path.read_text("utf-8"))
        path.unlink()
        read = read_toml(path)
        assert repr(read) == repr(expected), path.name  # equal, and of the same types


def test_without_json_the_file_itself_is_read(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text('[day]\nname = "Tag für Tag"\nmost = 3\n', "utf-8")
    assert read_toml(path) == {"day": {"name": "Tag für Tag", "most": 3}}


@pytest.mark.parametrize("content", [b"day = [", b'day = "\xff"'])
def test_a_mistake_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "limits.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^limits\.toml: "):
        read_toml(path)
