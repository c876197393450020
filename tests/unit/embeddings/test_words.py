"""Words of texts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.embeddings.words import form_of, words_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick, brown FOX.", ["the", "quick", ",", "brown", "fox", "."]),
        ("snake_case C++ 3.14", ["snake", "_", "case", "c", "+", "+", "3", ".", "14"]),
        ("Ça va, Ångström; e\u0301", ["ca", "va", ",", "angstrom", ";", "e"]),
        ("İstanbul ΣΊΣΥΦΟΣ", ["istanbul", "σισυφοσ"]),
        ("日本語 テスト", ["日", "本", "語", "テスト"]),
        ("zero\u200bwidth soft\u00adhyphen\ufeff", ["zerowidth", "softhyphen"]),
        ("a\x00b\x07c\td\ne\x85f\u3000g", ["abc", "d", "ef", "g"]),
        ("हिन्दी", ["हिनदी"]),
        ("[CLS] a [SEP] [cls]", ["[CLS]", "a", "[SEP]", "[", "cls", "]"]),
        ("x[MASK]y", ["x", "[MASK]", "y"]),
        ("naïve—“quoted”…", ["naive", "—", "“", "quoted", "”", "…"]),
        ("", []),
    ],
)
def test_words_are_small_and_bare_and_signs_are_words(text: str, words: list[str]) -> None:
    assert words_in(text) == words


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_is_read_in_the_quick_way_as_in_the_other(text: str) -> None:
    assert words_in(text) == words_in(text + "\u0301")


@given(st.text())
def test_words_hold_no_spaces_marks_or_capitals(text: str) -> None:
    for word in words_in(text):
        if word.startswith("[") and len(word) > 1:
            continue  # one that stands for itself
        assert word
        assert not any(each.isspace() or unicodedata.category(each) in {"Mn", "Cc", "Cf", "Co", "Cs"} for each in word)


@pytest.mark.slow
def test_every_character_there_is_has_a_form() -> None:
    assert {type(form_of(chr(code))) for code in range(0x110000)} == {str}
