"""Files of JSONL, a document in each line: its text, and its vector if there is one already. Pure."""

import json
from array import array
from collections.abc import Iterator
from typing import Any

from sluice.embeddings.vectors import is_finite
from sluice.errors import InvalidRequestError
from sluice.knowledge.attached_files import AttachedFile
from sluice.knowledge.document import Document
from sluice.knowledge.extraction import FileError
from sluice.knowledge.vector_store import Generation
from sluice.knowledge.writer import NewDocument, OwnVector

MOST_LINES = 5_000
"""How many lines a file may have."""


def lines_of(file: AttachedFile, content: bytes, generation: Generation | None) -> list[NewDocument]:
    """The documents of a file's lines; vectors have to be such as `generation` has, and are left out where it is None.

    Raises FileError.

    Of several lines with the same id the last counts, as if each were written after those before it.
    """
    documents = [_document(file, number, line, generation) for number, line in _lines(content)]
    if not documents:
        raise FileError("invalid_file", "The file has no lines.")
    return list({each.document.id: each for each in documents}.values())


def _lines(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a JSONL file, and their numbers. Raises FileError."""
    for number, raw in enumerate(content.splitlines(), start=1):
        if not raw.strip():
            continue
        if number > MOST_LINES:
            raise FileError("invalid_file", f"The file has more than {MOST_LINES} lines: split it.")
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            raise FileError("invalid_file", f"Line {number} is no JSON.") from None
        if not isinstance(line, dict):
            raise FileError("invalid_file", f"Line {number} should be an object with id, text, vector and attributes.")
        yield number, line


def _document(file: AttachedFile, number: int, line: dict[str, Any], generation: Generation | None) -> NewDocument:
    unknown = line.keys() - {"id", "text", "vector", "attributes", "title", "url"}
    text, own = line.get("text"), line.get("attributes") or {}
    if unknown or not isinstance(text, str) or not text.strip() or not isinstance(line.get("id"), str):
        raise FileError(
            "invalid_file",
            f"Line {number} should have id and text, both texts, and may have vector, attributes, title and url.",
        )
    title, url = line.get("title") or file.filename, line.get("url") or ""
    is_plain = isinstance(own, dict) and all(isinstance(each, str | float | int) for each in own.values())
    if not is_plain or not isinstance(title, str) or not isinstance(url, str):
        raise FileError(
            "invalid_file", f"Line {number}: attributes are texts, numbers and booleans; title and url texts."
        )
    kept = (line["id"], title, url, *own, *(each for each in own.values() if isinstance(each, str)))
    if not all(map(_is_unicode, kept)):
        raise FileError("invalid_file", f"Line {number}: id, title, url or attributes have half of a surrogate pair.")
    vector = line.get("vector")
    document = Document(
        id=line["id"],
        kind="imported",
        text=text,
        version=file.attempt,
        title=title,
        url=url,
        attributes={**file.attributes, **own},
        source=file.id,
    )
    try:
        document.check()
    except InvalidRequestError as error:
        raise FileError("invalid_file", f"Line {number}: {error.message}") from None
    if vector is None or generation is None:
        return NewDocument(document)
    return NewDocument(document, OwnVector(_vector(vector, number, generation), generation))


def _vector(vector: Any, number: int, generation: Generation) -> list[float]:
    wanted = generation.dimensions
    if not isinstance(vector, list) or len(vector) != wanted:
        had = len(vector) if isinstance(vector, list) else "no list of"
        raise FileError(
            "invalid_file",
            f"Line {number}: vector has {had} numbers; those of this store, by {generation.model}, have {wanted}.",
        )
    is_right = all(isinstance(each, int | float) and not isinstance(each, bool) for each in vector)
    if not is_right or not _points_somewhere(vector):
        raise FileError(
            "invalid_file",
            f"Line {number}: vector should be finite numbers that floats of 32 bits hold, not all of them 0.",
        )
    return [float(each) for each in vector]


def _points_somewhere(vector: list[float]) -> bool:
    """Whether floats of 32 bits hold a vector's numbers, and one of them is not 0."""
    try:
        numbers = array("f", vector)
    except OverflowError:  # a whole number that is no float at all
        return False
    return is_finite(numbers) and any(numbers)


def _is_unicode(text: str) -> bool:
    """Whether a text can be stored: JSON can name half of a pair of surrogates, and UTF-8 has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
