"""The question bank on MiniStack's DynamoDB: how far it is read, and at what cost."""

from collections.abc import Iterable, Iterator

import pytest

from sluice.errors import StorageUnavailableError
from sluice.storage.item_types import to_item
from sluice.tasks.question_bank.bank import ANY_CATEGORY, QuestionBank, Shelf
from sluice.tasks.question_bank.question import Question
from sluice.tasks.question_bank.selection import Selection
from tests.conftest import Aws
from tests.dynamodb_calls import counting

SHELF = Shelf("acme", "1", "Backend engineer", "medium")
# One question in many words: each is like all others.
SAME = "How would you plan, test, run, watch, review and explain a database migration number{} to colleagues?"


@pytest.fixture
def bank(aws: Aws) -> QuestionBank:
    return QuestionBank(aws.table("QUESTIONS_TABLE"))


def question(text: str, category: str = "Databases") -> Question:
    return Question(text, category, ("It depends.",))


def about(topics: Iterable[object], category: str = "Databases") -> list[Question]:
    return [question(f"How would you explain {topic}?", category) for topic in topics]


def fill(bank: QuestionBank, *questions: Question) -> None:
    bank.add(SHELF, ((each.category, each) for each in questions))


def fill_in_order(aws: Aws, texts: Iterable[str]) -> None:
    """Puts texts in the order in which they are to be read, many at once."""
    items = [
        {"bank": SHELF.key("Databases"), "question": f"{place:05}", "text": text, "category": "Databases"}
        for place, text in enumerate(texts)
    ]
    puts = [{"PutRequest": {"Item": to_item(item | {"expected_points": ["It depends."]})}} for item in items]
    table = aws.table("QUESTIONS_TABLE")
    for start in range(0, len(puts), 25):
        request = {"RequestItems": {table: puts[start : start + 25]}}
        assert not aws.client.call("BatchWriteItem", request)["UnprocessedItems"]


def select(bank: QuestionBank, selection: Selection) -> Selection:
    categories = [*selection.categories.values()] or [ANY_CATEGORY]
    for each in bank.read(SHELF, categories, selection.wanted, lambda: selection.missing):
        selection.offer(each)
    return selection


def test_enough_in_the_first_page_takes_one_query_for_each_category(bank: QuestionBank) -> None:
    fill(bank, *about(range(30)), *about(range(100, 130), "API design"))
    with counting() as sent:
        selection = select(bank, Selection(5, ["Databases", "API design"]))
    assert not selection.missing
    assert sent == ["Query", "Query"]


def test_near_duplicates_in_the_first_page_are_made_up_for_by_the_next(bank: QuestionBank) -> None:
    same = sorted((question(SAME.format(number)) for number in range(40)), key=lambda each: each.id)
    others = sorted(about(range(100)), key=lambda each: each.id)
    # Those that are read first are like each other; what can be handed out comes after them.
    first, last = same[:8], [each for each in others if each.id > same[7].id][:4]
    fill(bank, *first, *last)
    with counting() as sent:
        selection = select(bank, Selection(5, ["Databases"]))
    assert sorted(each.text for each in selection.chosen()) == sorted(each.text for each in (first[0], *last))
    assert sent == ["Query", "Query"]


def test_only_a_category_that_is_short_of_its_share_is_read_on(bank: QuestionBank) -> None:
    fill(bank, *about(range(30)), *(question(SAME.format(number), "API design") for number in range(30)))
    with counting() as sent:
        selection = select(bank, Selection(4, ["Databases", "API design"]))
    assert selection.missing == {"API design": 1}
    assert sent == ["Query"] * 3


def test_questions_of_whatever_category_are_read_on_too(bank: QuestionBank) -> None:
    all_same = (question(SAME.format(number), f"topic {number}") for number in range(20))
    bank.add(SHELF, ((ANY_CATEGORY, each) for each in (*all_same, *about(range(4)))))
    assert select(bank, Selection(5)).is_enough


def test_a_bank_that_ends_is_read_to_its_end_only(bank: QuestionBank) -> None:
    fill(bank, *about(range(3)))
    with counting() as sent:
        selection = select(bank, Selection(5, ["Databases"]))
    assert selection.number == 3
    assert sent == ["Query"]
    assert not list(bank.read(SHELF, ["Nothing there"], 5, frozenset))


def test_a_bank_of_one_question_in_many_words_is_read_so_far_only(aws: Aws, bank: QuestionBank) -> None:
    fill_in_order(aws, map(SAME.format, range(1_050)))
    with counting() as sent:
        read = list(bank.read(SHELF, ["Databases"], 2, lambda: ["Databases"]))
    assert [each.text for each in read] == [SAME.format(number) for number in range(1_002)]
    assert sent == ["Query"] * 4


def test_nothing_is_read_before_it_is_taken_and_nothing_after_the_reader_stops(bank: QuestionBank) -> None:
    fill(bank, *about(range(30)))
    with counting() as sent:
        reading = bank.read(SHELF, ["Databases"], 2, lambda: ["Databases"])
        assert sent == []
        for _ in range(2):
            next(reading)
        assert sent == ["Query"]
        next(reading)
        assert sent == ["Query", "Query"]


def test_when_nothing_is_missing_one_page_of_each_category_is_read(bank: QuestionBank) -> None:
    fill(bank, *about(range(30)), *about(range(30), "API design"))
    read = list(bank.read(SHELF, ["Databases", "API design"], 7, frozenset))
    assert [each.category for each in read] == ["Databases"] * 7 + ["API design"] * 7


def test_what_a_model_adds_is_found_by_the_next_request(bank: QuestionBank) -> None:
    """Two first requests at once have put paraphrases there; the model is asked for what is missing once."""
    fill(bank, *(question(SAME.format(number)) for number in range(12)))
    short = select(bank, Selection(5, ["Databases"]))
    assert short.missing == {"Databases": 4}
    written = [question(SAME.format(99)), *about(range(4))]
    fill(bank, *(each for each in written if short.offer_new(each)))
    assert not short.missing
    assert not select(bank, Selection(5, ["Databases"])).missing


def test_a_bank_that_can_t_be_read_says_so(aws: Aws) -> None:
    def read() -> Iterator[Question]:
        return QuestionBank(f"no-{aws.table('QUESTIONS_TABLE')}").read(SHELF, ["Databases"], 5, frozenset)

    with pytest.raises(StorageUnavailableError, match="Query: ResourceNotFoundException"):
        next(read())
