"""The model's files, in the layer of the functions that have it, and how they are laid out."""

import struct
from importlib.util import find_spec
from pathlib import Path

from sluice.embeddings.model import EmbeddingModel, Rows
from sluice.embeddings.vocabulary import Vocabulary

PACKAGE = "potion_base_8m"
"""The folder of the layer's `python/`, which holds no module."""
ROWS_FILE = "rows.int8"
VOCABULARY_FILE = "vocab.txt"
# What kind of file it is, tokens, dimensions. Then a shift for each token, and the numbers of each: 128 stands for 0.
_HEADER = struct.Struct("<8sII")
_KIND = b"sluice-1"


class ModelFilesError(Exception):
    """The model's files are not there, or not what they should be."""


def read_model() -> EmbeddingModel:
    """The model of this function. Raises ModelFilesError."""
    found = find_spec(PACKAGE)
    folders = None if found is None else found.submodule_search_locations
    if not folders:
        raise ModelFilesError("this function has no layer with an embedding model")
    return read_model_in(Path(folders[0]))


def read_model_in(folder: Path) -> EmbeddingModel:
    """The model of a folder. Raises ModelFilesError."""
    try:
        rows = rows_in((folder / ROWS_FILE).read_bytes())
        pieces = (folder / VOCABULARY_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError, struct.error) as error:
        raise ModelFilesError(f"the embedding model can't be read: {error}") from error
    if len(pieces) != len(rows.shifts):
        raise ModelFilesError(f"the embedding model has {len(rows.shifts)} rows and {len(pieces)} pieces of words")
    return EmbeddingModel(Vocabulary(pieces), rows)


def rows_in(content: bytes) -> Rows:
    """The rows that a file holds. Raises ValueError or struct.error if it holds none, or less than it says."""
    kind, tokens, dimensions = _HEADER.unpack_from(content)
    if kind != _KIND:
        raise ValueError(f"{ROWS_FILE} is of another kind: {kind!r}")
    numbers_at = _HEADER.size + tokens
    return Rows(dimensions=dimensions, shifts=content[_HEADER.size : numbers_at], numbers=content[numbers_at:])


def content_of(rows: Rows) -> bytes:
    """The file that holds `rows`."""
    return _HEADER.pack(_KIND, len(rows.shifts), rows.dimensions) + rows.shifts + rows.numbers
