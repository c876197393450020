import json

from hypothesis import given
from hypothesis import strategies as st

from sluice.validation.text import CharacterJoiner, whole_characters, whole_characters_of_json

halves = st.text(st.characters(include_characters="\ud83d\ude00\udfff\ud800", exclude_categories=[]), max_size=8)


def test_pairs_are_joined_and_halves_replaced() -> None:
    assert whole_characters("a\ud83d\ude00b") == "a\U0001f600b"
    assert whole_characters("a\ud83db\ude00") == "a\ufffdb\ufffd"
    assert whole_characters("é") == "é"


@given(halves)
def test_every_text_can_be_written_afterwards(text: str) -> None:
    whole = whole_characters(text)
    assert whole.encode().decode() == whole
    assert whole_characters(whole) == whole


@given(st.recursive(halves, lambda inner: st.lists(inner) | st.dictionaries(halves, inner, max_size=3)))
def test_a_document_is_mended_before_it_is_read(value: object) -> None:
    raw = json.dumps(value).encode()
    mended = whole_characters_of_json(raw)
    assert json.dumps(json.loads(mended), ensure_ascii=False).encode()
    if not any(0xD800 <= ord(character) < 0xE000 for character in json.dumps(json.loads(raw), ensure_ascii=False)):
        assert json.loads(mended) == value


def test_a_backslash_before_an_escape_is_no_part_of_it() -> None:
    for raw in (rb'"\\ud83d"', rb'"\\\\ud83d"', rb'"\u0041\n"', b'"\\ud83d\\ude00"'):
        assert whole_characters_of_json(raw) == raw
    assert whole_characters_of_json(rb'"\\\ud83dx"') == rb'"\\\ufffdx"'
    assert whole_characters_of_json(rb'"\ud83d\ud83d\ude00"') == rb'"\ufffd\ud83d\ude00"'


@given(st.lists(halves, max_size=6))
def test_a_text_in_parts_becomes_what_it_is_as_a_whole(parts: list[str]) -> None:
    joiner = CharacterJoiner()
    assert "".join([*(joiner.feed(part) for part in parts), joiner.rest()]) == whole_characters("".join(parts))
