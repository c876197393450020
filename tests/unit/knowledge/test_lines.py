"""A file of lines is read whole, or refused with the line that is wrong."""

import json
from typing import Any

import pytest

from sluice.knowledge.attached_files import AttachedFile
from sluice.knowledge.extraction import FileError
from sluice.knowledge.lines import lines_of
from sluice.knowledge.vector_store import Generation
from sluice.knowledge.writer import NewDocument, OwnVector

GENERATION = Generation(number=1, model="embed", dimensions=2)


def read(*lines: str) -> list[NewDocument]:
    file = AttachedFile(id="file-1", owner="key", filename="lines.jsonl", attempt="1", created_at=0)
    return lines_of(file, "\n".join(lines).encode("utf-8", "surrogatepass"), GENERATION)


def line(vector: str = "[1, 2]", attributes: str = "{}", **fields: Any) -> str:
    others = json.dumps({"id": "doc-1", "text": "A text.", **fields})
    return f'{others[:-1]}, "vector": {vector}, "attributes": {attributes}}}'


@pytest.mark.parametrize(
    "vector",
    [
        f"[1{'0' * 400}, 0]",
        f"[-1{'0' * 400}, 0]",
        f"[1{'0' * 9_000}, 0]",
        "[1e400, 0]",
        "[1e300, 0]",
        "[1e-320, 0]",
        "[true, 1]",
        "[[1], 2]",
        "[NaN, 1]",
        "[Infinity, 1]",
        "[-Infinity, 1]",
        "[Infinity, -Infinity]",
        "[]",
        "{}",
        "7",
        '["1", "2"]',
        '"12"',
        "[null, 1]",
        "[0, 0.0]",
        f"[{'[' * 900}{']' * 900}, 1]",
        f"[{'[' * 200_000}{']' * 200_000}, 1]",
    ],
)
def test_a_vector_that_cannot_be_stored_is_refused_with_its_line(vector: str) -> None:
    with pytest.raises(FileError, match="Line 2") as caught:
        read(line(id="doc-0"), line(vector))
    assert caught.value.code == "invalid_file"


@pytest.mark.parametrize(
    "value", [f"1{'0' * 49}1", "1" * 39, f"-1{'0' * 38}1", "1e200", f"1{'0' * 200}", "NaN", "-Infinity", "[1]", "null"]
)
def test_an_attribute_that_cannot_be_stored_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(FileError, match="Line 2"):
        read(line(id="doc-0"), line(attributes=f'{{"n": {value}}}'))


@pytest.mark.parametrize("value", ["9" * 38, f"-{'9' * 38}", f"1{'0' * 100}", "1e100", "1e-200", "0", "true"])
def test_a_number_that_dynamodb_has_is_taken(value: str) -> None:
    [new] = read(line(attributes=f'{{"n": {value}}}'))
    assert new.document.attributes == {"n": json.loads(value)}


@pytest.mark.parametrize("fields", [{"id": "\ud800"}, {"title": "\udc00"}, {"url": "\ud800"}])
def test_half_of_a_surrogate_pair_is_refused_with_its_line(fields: dict[str, Any]) -> None:
    with pytest.raises(FileError, match="Line 1"):
        read(line(**fields))


@pytest.mark.parametrize("attributes", ['{"a": "\\ud800"}', '{"\\ud800": 1}'])
def test_half_of_a_surrogate_pair_in_an_attribute_is_refused_with_its_line(attributes: str) -> None:
    with pytest.raises(FileError, match="Line 1"):
        read(line(attributes=attributes))


def test_whole_numbers_are_numbers_of_a_vector() -> None:
    [new] = read(line("[1, -0.5]"))
    assert new.vector == OwnVector([1.0, -0.5], GENERATION)


def test_of_lines_with_the_same_id_the_last_counts() -> None:
    found = read(line("[1, 2]"), line(id="doc-2"), line("[3, 4]"), line("[5, 6]", text="The last."))
    assert [(each.document.id, each.document.text, each.vector) for each in found] == [
        ("doc-1", "The last.", OwnVector([5.0, 6.0], GENERATION)),
        ("doc-2", "A text.", OwnVector([1.0, 2.0], GENERATION)),
    ]
