"""Vectors of texts beside those of the reference, and of texts that are made to go wrong."""

import json
import math
from array import array
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.embeddings.files import read_model
from sluice.embeddings.model import MOST_SHIFT, EmbeddingModel, NoDirectionError, Rows
from sluice.embeddings.vocabulary import MOST_TOKENS, Vocabulary

REFERENCE = Path(__file__).parents[2] / "data" / "potion_base_8m"
DIMENSIONS = 256
# How far a vector may be from the reference's: 1 less their cosine.
MOST_DISTANCE = 1e-3


@cache
def model() -> EmbeddingModel:
    return read_model()


def reference() -> list[tuple[str, list[int], list[int]]]:
    """Texts, their tokens, and their vectors as whole numbers."""
    texts = json.loads((REFERENCE / "texts.json").read_text())
    numbers = array("b", (REFERENCE / "vectors.int8").read_bytes())
    return [
        (text, tokens, numbers[place * DIMENSIONS : (place + 1) * DIMENSIONS].tolist())
        for place, (text, tokens) in enumerate(texts)
    ]


def cosine(one: list[int], other: array[float]) -> float:
    return math.sumprod(one, other) / math.sqrt(math.sumprod(one, one) * math.sumprod(other, other))


def small(rows: list[list[int]], shifts: bytes | None = None) -> EmbeddingModel:
    """A model of the words a, b, c, ... with these rows."""
    numbers = bytes(number + 128 for row in rows for number in row)
    made = Rows(dimensions=len(rows[0]), shifts=shifts or bytes(len(rows)), numbers=numbers)
    return EmbeddingModel(Vocabulary([chr(ord("a") + place) for place in range(len(rows))]), made)


def test_a_thousand_texts_have_the_vectors_of_the_reference() -> None:
    found = reference()
    assert len(found) == 1_000
    for text, tokens, vector in found:
        if not tokens:
            with pytest.raises(NoDirectionError):
                model().embed(text)
            continue
        ours, count = model().embed(text)
        assert count == len(tokens), text
        assert 1 - cosine(vector, ours) < MOST_DISTANCE, text
        assert math.isclose(math.sumprod(ours, ours), 1, abs_tol=1e-5)


def test_a_sum_is_right_where_numbers_are_negative_and_shifts_differ() -> None:
    made = small([[-127, 127, 1], [3, -4, 0], [-1, -1, -1]], bytes([8, 0, 3]))
    found, tokens = made.embed("a b b c")
    total = [256 * -127 + 3 + 3 - 8, 256 * 127 - 4 - 4 - 8, 256 - 8]
    length = math.hypot(*total)
    assert tokens == 4
    assert found.tolist() == pytest.approx([number / length for number in total], abs=1e-6)


def test_no_number_of_tokens_overflows_a_lane() -> None:
    made = small([[127, -127]], bytes([MOST_SHIFT]))
    for count in (1, 65_536, 66_100, 1_000_000):
        found, tokens = made.embed("a " * count)
        assert tokens == count
        assert found.tolist() == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])


def test_words_of_as_many_tokens_as_there_can_be_do_not_overflow_either() -> None:
    numbers = bytes([128 + 127, 128 - 127])
    made = EmbeddingModel(
        Vocabulary(["a", "##a"]), Rows(dimensions=2, shifts=bytes([MOST_SHIFT] * 2), numbers=numbers * 2)
    )
    found, tokens = made.embed(("a" * MOST_TOKENS + " ") * 3_000)
    assert tokens == 3_000 * MOST_TOKENS
    assert found.tolist() == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t", "\u200b\u200d\ufeff", "\u0301\u0316", "👍👍", "\x00\x01", "x" * 101, "[UNK]", "\ud800"],
)
def test_a_text_of_nothing_that_is_known_has_no_vector(text: str) -> None:
    with pytest.raises(NoDirectionError):
        model().embed(text)


def test_a_text_whose_tokens_add_up_to_nothing_has_no_vector() -> None:
    with pytest.raises(NoDirectionError):
        small([[5, -3], [-5, 3]]).embed("a b")


def test_a_text_with_a_word_that_is_known_has_the_vector_of_it() -> None:
    assert model().embed("👍 good 👍")[0] == model().embed("good")[0]


@given(st.text())
def test_whatever_a_text_is_its_vector_has_the_length_one_or_there_is_none(text: str) -> None:
    try:
        vector, tokens = model().embed(text)
    except NoDirectionError:
        return
    assert tokens > 0
    assert len(vector) == DIMENSIONS
    assert math.isclose(math.sumprod(vector, vector), 1, abs_tol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("x" * 10**6, False),
        ("a" + "\u0301\u0316" * 500_000, True),
        ("\u0301\u0316" * 500_000, False),
        ("[" * 10**6, True),
        ("!" * 10**6, True),
        ("a\u0345\u0323" * 300_000, False),
        (" " * 10**6, False),
    ],
    ids=["a word", "marks on a letter", "marks", "brackets", "signs", "a marked word", "spaces"],
)
@pytest.mark.timeout(60)  # sorting the marks would take an hour
def test_a_megabyte_of_one_kind_takes_time_in_proportion(text: str, known: bool) -> None:
    try:
        assert model().embed(text)[1] > 0
        assert known
    except NoDirectionError:
        assert not known


def test_the_words_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.embeddings.model._MOST_KEPT_WORDS", 100)
    made = read_model()
    words = [f"{first}{second}" for first in "abcdefghijklmnopqrst" for second in "abcdefghijklmnopqrst"]
    expected = model().embed(" ".join(words))
    assert made.embed(" ".join(words)) == expected
    assert len(made._sums) <= 100


def test_threads_share_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.embeddings.model._MOST_KEPT_WORDS", 50)
    made, texts = read_model(), [text for text, tokens, _ in reference() if tokens][:300]
    expected = [model().embed(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [made.embed(text) for text in texts], range(4)):
            assert found == expected
