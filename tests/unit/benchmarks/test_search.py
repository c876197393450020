"""What the search section of the benchmarks computes with."""

import pytest

from benchmarks.search import cut, judged, ndcg
from benchmarks.word_ranking import WordIndex, fused


def test_ndcg_is_one_for_the_best_order_and_less_for_any_other() -> None:
    relevant = {"a": 2, "b": 1}
    assert ndcg(["a", "b", "c"], relevant) == 1
    # 1 and 3 / 1.585 of 3 and 1 / 1.585.
    assert ndcg(["b", "a", "c"], relevant) == pytest.approx(0.7967, abs=1e-4)
    assert ndcg([*"cdefghijkl", "a"], relevant) == 0


def test_texts_with_rare_words_of_a_query_come_first_and_those_with_none_not_at_all() -> None:
    index = WordIndex(["the pump of the machine", "error F21 of the pump", "a garden in May"])
    assert index.ranked("What does F21 say of the pump?") == [1, 0]
    assert index.ranked("of the") == []


def test_what_both_rankings_have_goes_before_what_one_has() -> None:
    assert fused([3, 1, 2], [1, 4]) == [1, 3, 4, 2]


def test_each_judgement_names_a_passage_and_each_passage_is_in_a_chunk() -> None:
    handbooks, questions = judged()
    names = {name for handbook in handbooks for name in handbook}
    assert {name for question in questions for name in question.relevant} <= names
    for size in (200, 400, 800):
        chunks = [unit for handbook in handbooks for unit in cut(handbook, size)]
        assert {name for unit in chunks for name in unit.passages} == names
