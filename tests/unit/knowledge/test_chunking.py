"""Texts are cut into overlapping chunks of bounded size, of which nothing is lost."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequestError
from sluice.knowledge.chunking import MOST_CHUNKS, Chunking, chunks, count_tokens

PROSE = " ".join(f"This is sentence number {number}, and it says little." for number in range(2_000))
SMALL = Chunking(max_tokens=100, overlap_tokens=40)


def test_a_short_text_is_one_chunk() -> None:
    assert [each.text for each in chunks("  One sentence.\n", Chunking())] == ["One sentence."]


@pytest.mark.parametrize("text", ["", "   \n\t "])
def test_a_text_of_nothing_has_no_chunks(text: str) -> None:
    assert chunks(text, Chunking()) == []


def test_chunks_of_prose_end_with_sentences_and_overlap() -> None:
    found = chunks(PROSE, Chunking())
    assert all(each.text.endswith(".") for each in found)
    for one, following in pairwise(found):
        begins = PROSE.index(following.text)
        assert begins < PROSE.index(one.text) + len(one.text)


@given(st.text(max_size=3_000))
def test_no_chunk_is_too_large_and_nothing_is_lost(text: str) -> None:
    found = chunks(text, SMALL)
    assert all(0 <= each.tokens <= 100 for each in found)
    place = 0
    for each in found:
        begins = text.index(each.text, 0)
        # Between two chunks there is at most space.
        assert begins <= place or not text[place:begins].strip()
        place = max(place, begins + len(each.text))
    assert not text[place:].strip() or not found


@given(st.text(max_size=500))
def test_tokens_are_at_most_characters(text: str) -> None:
    assert count_tokens(text) <= len(text)


def test_a_word_of_a_megabyte_and_signs_without_end_are_cut_in_time() -> None:
    for text in ("x" * 1_000_000, "=" * 200_000, " \n" * 500_000, "1" * 1_000_000):
        started = time.process_time()
        assert len(chunks(text, Chunking())) < MOST_CHUNKS
        # A quadratic way would take minutes.
        assert time.process_time() - started < 60


@pytest.mark.slow
def test_too_many_chunks_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="20000 chunks"):
        chunks("=" * 1_500_000, Chunking(max_tokens=100, overlap_tokens=50))


@pytest.mark.parametrize(("most", "overlap"), [(99, 0), (4_097, 0), (800, 401), (800, -1)])
def test_sizes_that_openai_would_refuse_are_refused(most: int, overlap: int) -> None:
    with pytest.raises(InvalidRequestError, match="chunking_strategy"):
        Chunking(max_tokens=most, overlap_tokens=overlap).check()


def test_prose_is_counted_about_as_its_tokenizers_do() -> None:
    # cl100k counts 15 for it.
    assert count_tokens("The quick brown fox jumps over the lazy dog, and nobody minds that.") == pytest.approx(
        15, abs=2
    )
