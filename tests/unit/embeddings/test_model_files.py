"""The model's files: those of the layer, and those that are not what they should be."""

import struct
from pathlib import Path

import pytest

from sluice.embeddings import files
from sluice.embeddings.files import (
    PACKAGE,
    ROWS_FILE,
    VOCABULARY_FILE,
    ModelFilesError,
    content_of,
    read_model,
    read_model_in,
    rows_in,
)
from sluice.embeddings.model import MOST_SHIFT, Rows
from tools.processes import ROOT

ROWS = Rows(dimensions=2, shifts=bytes([0, 3]), numbers=bytes([1, 2, 3, 255]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ROWS_FILE).write_bytes(content_of(ROWS))
    (tmp_path / VOCABULARY_FILE).write_text("a\n##b\n")
    return tmp_path


def test_rows_are_read_as_they_were_written() -> None:
    assert rows_in(content_of(ROWS)) == ROWS


def test_a_folder_with_both_files_is_a_model(folder: Path) -> None:
    assert read_model_in(folder).embed("ab")[1] == 2


@pytest.mark.parametrize("length", range(len(content_of(ROWS))))
def test_rows_that_end_too_early_are_not_taken(folder: Path, length: int) -> None:
    (folder / ROWS_FILE).write_bytes(content_of(ROWS)[:length])
    with pytest.raises(ModelFilesError):
        read_model_in(folder)


@pytest.mark.parametrize(
    "content",
    [
        content_of(ROWS) + b"\0",
        b"another!" + content_of(ROWS)[8:],
        struct.pack("<8sII", b"sluice-1", 2, 0) + bytes(2),
        content_of(ROWS)[:16] + bytes([MOST_SHIFT + 1]) + content_of(ROWS)[17:],
    ],
    ids=["more than it says", "another kind", "no dimensions", "a shift too far"],
)
def test_rows_that_are_not_what_they_say_are_not_taken(folder: Path, content: bytes) -> None:
    (folder / ROWS_FILE).write_bytes(content)
    with pytest.raises(ModelFilesError):
        read_model_in(folder)


@pytest.mark.parametrize("vocabulary", [b"a\n", b"a\n##b\nc\n", b"", b"a\n\xff\n"])
def test_a_vocabulary_of_other_rows_is_not_taken(folder: Path, vocabulary: bytes) -> None:
    (folder / VOCABULARY_FILE).write_bytes(vocabulary)
    with pytest.raises(ModelFilesError):
        read_model_in(folder)


@pytest.mark.parametrize("name", [ROWS_FILE, VOCABULARY_FILE])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFilesError, match=name):
        read_model_in(folder)


def test_a_function_without_the_layer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PACKAGE", "no_such_layer")
    with pytest.raises(ModelFilesError, match="no layer"):
        read_model()


def test_the_model_travels_with_its_license() -> None:
    folder = ROOT / ".tools" / "embedding" / "python" / PACKAGE
    license_text = (folder / "LICENSE.txt").read_text()
    assert "Copyright (c) MinishLab" in license_text
    assert "The above copyright notice and this permission notice shall be included" in license_text
    assert "potion-base-8M" in (folder / "ATTRIBUTION.txt").read_text()
