"""Tokens of words."""

import pytest

from sluice.embeddings.vocabulary import Vocabulary

VOCABULARY = Vocabulary(["[UNK]", "un", "##aff", "##able", "##a", "a", "una", "##b"])


@pytest.mark.parametrize(
    ("word", "tokens"),
    [
        ("un", [1]),
        ("unable", []),
        ("aaffable", [5, 2, 3]),
        ("ab", [5, 7]),
        ("b", []),
        ("[UNK]", []),
        ("", []),
        ("a" * 100, [5, *[4] * 99]),
        ("a" * 101, []),
    ],
)
def test_the_longest_piece_comes_first_and_one_that_is_missing_makes_the_word_unknown(
    word: str, tokens: list[int]
) -> None:
    assert VOCABULARY.tokens(word) == tokens


def test_a_word_is_not_tried_in_another_way_once_its_longest_beginning_is_taken() -> None:
    # "un" and "##able" would do, and WordPiece takes "una".
    assert Vocabulary(["un", "##able", "una"]).tokens("unable") == []
    assert Vocabulary(["un", "##able"]).tokens("unable") == [0, 1]
