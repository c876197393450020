"""What counts as a question, when two ask the same, and how exactly as many as wanted are picked."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tasks.question_bank.bank import Shelf
from sluice.tasks.question_bank.question import (
    MOST_CHARACTERS,
    PATTERN,
    Question,
    asks_the_same,
    is_question,
    normal,
    read_question,
)
from sluice.tasks.question_bank.selection import Selection

ENTRY = {"question": "How do you find a slow query?", "category": "Databases", "expected_points": ["Look at its plan."]}

OF_MARKS = [
    "आप डेटाबेस में धीमी क्वेरी को कैसे ढूँढते हैं?",
    "आप अपने काम को कैसे प्राथमिकता देते हैं?",
    "भारत की राजधानी क्या है?",
    "தரவுத்தளத்தில் மெதுவான வினவலை எப்படிக் கண்டறிவீர்கள்?",
    "คุณจะค้นหาคิวรีที่ช้าในฐานข้อมูลได้อย่างไร?",
    "আপনি কীভাবে একটি ধীর কোয়েরি খুঁজে পান?",
    "သင်သည် နှေးကွေးသော query ကို မည်သို့ရှာဖွေသနည်း?",
    "តើអ្នកស្វែងរកសំណួរយឺតដោយរបៀបណា?",
    unicodedata.normalize("NFD", "שָׁלוֹם, כֵּיצַד מוֹצְאִים שְׁאִילְתָּה אִטִּית?"),
    # With what joins letters, and what keeps them apart.
    "සෙමින් ක්\u200dරියාත්මක වන විමසුමක් සොයා ගන්නේ කෙසේද?",
    "چگونه یک پرس\u200cوجوی کند را پیدا می\u200cکنید؟",
]
"""Questions whose vowels, or some of them, are marks."""

topics = st.lists(st.sampled_from([f"topic{number}" for number in range(40)]), min_size=1, max_size=4)
questions = st.builds(
    Question,
    topics.map(lambda words: f"How would you explain {' and '.join(words)}?"),
    st.sampled_from(["A", "a ", "B", "C#", "C", "other"]),
    st.just(("It depends.",)),
)


def question(text: str, category: str = "Databases") -> Question:
    return Question(text, category, ("It depends.",))


@pytest.mark.parametrize(
    "text",
    [
        "How do you find a slow query?",
        "Describe a conflict with a colleague, and how you solved it.",
        "Wie finden Sie eine langsame Abfrage?",
        "\u5982\u4f55\u627e\u5230\u4e00\u4e2a\u7f13\u6162\u7684\u6570\u636e\u5e93\u67e5\u8be2\uff1f",
        "Tell me about idempotency in C++",
        *OF_MARKS,
    ],
)
def test_what_asks_or_invites_is_a_question(text: str) -> None:
    assert is_question(text)
    assert re.search(PATTERN, text if text.endswith(("?", "\uff1f", "\u061f")) else text.removesuffix(".") + ".")


@pytest.mark.parametrize(
    "text",
    ["<span class=", "Databases are collections of tables.", 'What is "this"?', "What?", "Is it?\nYes?", "{% if %}?"],
)
def test_a_model_held_to_a_pattern_can_t_say_what_is_no_question(text: str) -> None:
    assert not re.search(PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why?",
        "?????????????",
        "Databases are collections of tables.",
        "why why why why why why?",
        "As an AI language model, how can I help you today?",
        "What is <data-1f3a9c0b7d2e>this</data-1f3a9c0b7d2e>?",
        "1 2 3 4 5 6 7 8 9 10 11 12?",
        "कैसे कैसे कैसे कैसे कैसे?",
        "\u2764\ufe0f\u2764\ufe0f\u2764\ufe0f Which one is it? \u2764\ufe0f\u2764\ufe0f\u2764\ufe0f\u2764\ufe0f",
        "\u0941\u0941\u0941\u0941\u0941\u0941\u0941 \u0942\u0942\u0942 \u0943\u0943\u0943?",
        f"How {'very ' * MOST_CHARACTERS}slow is it?",
    ],
)
def test_what_does_not_is_none(text: str) -> None:
    assert not is_question(text)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "How do you find a slow query?",
        {},
        ENTRY | {"question": ["How do you find a slow query?"]},
        ENTRY | {"question": "How do you find\x00 a slow query?"},
        ENTRY | {"question": "How do you find a slow \ud800query?"},
        ENTRY | {"category": "Cooking"},
        ENTRY | {"category": None},
        ENTRY | {"expected_points": []},
        ENTRY | {"expected_points": ["x"] * 9},
        ENTRY | {"expected_points": ["  "]},
        ENTRY | {"expected_points": [{"a": 1}]},
        ENTRY | {"expected_points": "Look at its plan."},
    ],
)
def test_an_entry_with_anything_wrong_is_no_question(entry: object) -> None:
    assert read_question(entry, {"databases": "Databases"}) is None


def test_a_question_is_read_as_one_line_in_the_category_as_it_was_asked_for() -> None:
    entry = ENTRY | {"question": " How do you\n find a slow query? ", "category": "DATABASES ", "more": 1}
    assert read_question(entry, {"databases": "Databases"}) == Question(
        "How do you find a slow query?", "Databases", ("Look at its plan.",)
    )


@pytest.mark.parametrize("text", OF_MARKS)
def test_a_question_whose_vowels_are_marks_is_read_and_kept_whole(text: str) -> None:
    read = read_question(ENTRY | {"question": text, "expected_points": [text]}, {"databases": "Databases"})
    assert read == Question(text, "Databases", (text,))
    letters = unicodedata.normalize("NFC", text).translate(dict.fromkeys(map(ord, "?\u061f,\u200c\u200d")))
    assert normal(text) == letters


def test_words_of_marks_differ_by_their_vowels() -> None:
    assert normal("काम!") == "काम"
    assert question("काम कैसे होता है?").id != question("कम कैसे होता है?").id
    assert not asks_the_same("काम क्या है?", "कीमत क्या है?")
    assert asks_the_same("आप अपने काम को कैसे प्राथमिकता देते हैं?", "अपने काम को आप कैसे प्राथमिकता देते हैं")


@given(
    st.text(st.sampled_from("aZ\u0130\u0915\u093e\u0308\u0e01\u0e31\u4e00\u200d\ufe0f\u20e31+#_? \ud800"), max_size=30)
)
def test_what_is_a_question_has_words(text: str) -> None:
    assert not is_question(text) or normal(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do you find a slow query?", "how do you find a SLOW query"),
        ("How do you prevent a deadlock?", "What is a deadlock, and how would you prevent it?"),
        ("What is Docker?", "Explain Docker!"),
        ("Why?", "Why"),
    ],
)
def test_questions_in_other_words_ask_the_same(one: str, other: str) -> None:
    assert asks_the_same(one, other)
    assert asks_the_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is a deadlock and how do you prevent it?", "What is a race condition and how do you prevent it?"),
        ("What is a destructor in C++?", "What is a destructor in C#?"),
        ("What is a process?", "What is a thread?"),
        ("How does REST work?", "When would you choose gRPC over REST?"),
    ],
)
def test_questions_about_other_things_do_not(one: str, other: str) -> None:
    assert not asks_the_same(one, other)


def test_case_and_punctuation_make_no_new_question_but_a_language_does() -> None:
    assert question("What is C++?").id == question("what is  C++").id
    assert question("What is C++?").id != question("What is C?").id


@given(
    st.integers(1, 30),
    st.lists(st.sampled_from(["A", "a", "B", "C#", "C", "D"]), max_size=6),
    st.lists(questions, max_size=60),
    st.lists(topics.map(lambda words: f"What is {' or '.join(words)}?"), max_size=5),
)
def test_exactly_as_many_as_wanted_are_chosen_and_none_asks_the_same(
    wanted: int, categories: list[str], offered: list[Question], avoid: list[str]
) -> None:
    selection = Selection(wanted, categories, avoid)
    assert sum(selection.missing.values()) == wanted
    taken = [each for each in offered if selection.offer(each)]
    chosen = selection.chosen()
    assert len(chosen) == min(wanted, len(taken))
    assert selection.is_enough == (len(taken) >= wanted)
    texts = [each.text for each in chosen] + avoid
    for place, text in enumerate(texts[: len(chosen)]):
        assert not any(asks_the_same(text, other) for other in texts[place + 1 :])
    if categories:
        assert {each.category for each in chosen} <= set(categories)
    # Nothing that fits is missing: what was offered in vain repeats something, or is of no category asked for.
    if not selection.missing:
        assert len(chosen) == wanted


def test_categories_get_even_shares_and_stand_in_for_each_other() -> None:
    selection = Selection(4, ["A", "B"])
    for number in range(4):
        assert selection.offer(question(f"How does thing{number} work?", "a"))
    assert selection.missing == {"B": 2}
    assert [each.category for each in selection.chosen()] == ["A"] * 4
    assert selection.offer(question("How does this other one work?", "B"))
    assert [each.category for each in selection.chosen()] == ["A", "A", "A", "B"]


def test_a_new_question_is_like_none_that_was_passed_over() -> None:
    selection = Selection(2)
    assert selection.offer(question("How do you plan and run a database migration?"))
    assert not selection.offer(question("How do you plan and test and run a database migration?"))
    # Like the second one, but not like the first: fine from the bank, where both are already.
    between = question("How do you plan and test a long database migration on the run?")
    assert asks_the_same(between.text, "How do you plan and test and run a database migration?")
    assert not asks_the_same(between.text, "How do you plan and run a database migration?")
    assert not selection.offer_new(between)
    assert selection.known[-1] == "How do you plan and run a database migration?"
    assert "How do you plan and test and run a database migration?" in selection.known
    assert selection.offer(between)
    assert selection.is_enough
    assert selection.offer_new(question("What is an index?"))


@given(st.integers(1, 10), st.lists(questions, max_size=20), st.lists(questions, max_size=20))
def test_what_a_model_adds_makes_its_bank_answer_more(
    wanted: int, banked: list[Question], written: list[Question]
) -> None:
    """Whatever places the hashes have among those that were there."""

    def found_in(bank: list[Question]) -> Selection:
        selection = Selection(wanted)
        for each in sorted(bank, key=lambda each: each.id):
            selection.offer(each)
        return selection

    selection = found_in(banked)
    added = [each for each in written if selection.offer_new(each)]
    assert found_in([*banked, *added]).number == found_in(banked).number + len(added)


def test_banks_are_kept_apart() -> None:
    shelves = [
        Shelf("t", "shared", "C developer", "easy"),
        Shelf("t", "shared", "C# developer", "easy"),
        Shelf("t", "1", "C developer", "easy"),
        Shelf("u", "shared", "C developer", "easy"),
        Shelf("t", "shared", "C developer", "hard"),
        Shelf("t", "shared", "C developer#easy", "easy"),
        Shelf("t", "shared", "C developer%23easy", "easy"),
    ]
    assert len({shelf.key(category) for shelf in shelves for category in ("", "X", "easy#X")}) == 3 * len(shelves)
    assert Shelf("t", "shared", " C  Developer", "easy").key("x ") == shelves[0].key("X")


@given(st.text(max_size=100), st.text(max_size=60))
def test_any_role_and_category_make_a_key_that_dynamodb_takes(role: str, category: str) -> None:
    assert 1 <= len(Shelf("t" * 63, "100000", role + "\ud800", "medium").key(category).encode()) <= 2048
