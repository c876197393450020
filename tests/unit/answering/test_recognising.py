"""Which questions the rules recognise, and above all, which they do not."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.answering.follow_ups import follow_ups
from sluice.answering.names import Names, known_names
from sluice.answering.plan import Filter, Measure, StandingPlan, UsagePlan
from sluice.answering.recognising import Refusal, recognise
from tests.questions import questions

TODAY = date(2026, 3, 18)
NAMES = known_names(
    {
        "provider": ["groq", "openai", "huggingface"],
        "model": ["gpt-4o", "gpt-4o-mini", "llama-3.1-8b-instant", "mistralai/Mistral-7B-Instruct-v0.2"],
        "user": ["alice", "bob", "dave", "carol"],
        "task": ["code_review", "log_analysis"],
        "key": ["webshop1"],
    }
)


def usage(text: str, names: Names = NAMES) -> UsagePlan:
    plan = recognise(text, TODAY, names)
    assert isinstance(plan, UsagePlan), plan
    return plan


@pytest.mark.parametrize(
    "text",
    [
        "How much did we spend excluding openai this month?",
        "How much did everyone except alice spend in February?",
        "How much did we not spend?",
        "Why did our costs go up in February?",
        "Which users spent more than $1 in January?",
        "How many requests took longer than 2 seconds yesterday?",
        "What is the median response time this month?",
        "What was the total cost of requests that failed in February?",
        "What did cached requests cost this month?",
        "How much does a token cost?",
        "Which provider is the cheapest per token?",
        "What is our average cost in February?",
        "How much did each user spend on average in January?",
        "What was our budget last month?",
        "When will our budget run out?",
        "How many requests were made from 9 to 5 yesterday?",
        "requests at 3pm yesterday",
        "requests in the last 24 hours",
        "What did we spend in the first week of February?",
        "How many requests did the second most active user make in February?",
        "top 0 models by cost",
        "top three users and models by cost",
        "What percentage of users use gpt-4o?",
        "How much did mallory spend in February?",
        "cost of gpt-5 this month",
        "What does our strategy cost?",
        "most",
        "models",
        "",
        "???",
    ],
)
def test_a_question_with_a_word_that_is_not_understood_is_no_question_for_tools(text: str) -> None:
    assert recognise(text, TODAY, NAMES) is None


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("What will we spend next month?", Refusal.FUTURE),
        ("How many requests will we make tomorrow?", Refusal.FUTURE),
        ("cost in 2019", Refusal.NOT_KEPT),
        ("cost in the last 200 days", Refusal.TOO_LONG),
        ("cost in February 2025", Refusal.NOT_KEPT),
    ],
)
def test_a_period_that_nothing_is_known_of_is_refused_and_not_zero(text: str, refusal: Refusal) -> None:
    assert recognise(text, TODAY, NAMES) is refusal


def test_names_are_found_however_they_are_written() -> None:
    for text in ("cost of GPT-4o-mini", "cost of gpt 4o mini", "cost of the model gpt-4o-mini"):
        assert usage(text).filters == (Filter("model", "gpt-4o-mini"),)
    assert usage("money paid to Hugging Face").filters == (Filter("provider", "huggingface"),)
    assert usage("cost of Mistral-7B-Instruct-v0.2").filters == (Filter("model", "mistralai/Mistral-7B-Instruct-v0.2"),)


def test_a_name_that_two_have_is_not_guessed() -> None:
    names = known_names({"user": ["Ann", "ann", "bob"]})
    assert recognise("How much did Ann spend?", TODAY, names) is None
    assert usage("How much did Bob spend?", names).filters == (Filter("user", "bob"),)


def test_a_user_named_like_a_word_is_meant_only_where_that_is_said() -> None:
    names = known_names({"user": ["today", "cost", "total"]})
    assert usage("total cost today", names).filters == ()
    assert usage("What did the user total spend?", names).filters == (Filter("user", "total"),)


def test_a_name_that_several_dimensions_have_is_what_is_said_of_it() -> None:
    names = known_names({"user": ["groq"], "provider": ["groq"]})
    assert usage("cost of the user groq", names).filters == (Filter("user", "groq"),)
    assert usage("cost of groq", names).filters == (Filter("provider", "groq"),)


def test_an_order_brings_its_measure_unless_another_is_named() -> None:
    assert usage("Which model is the slowest?").measures == (Measure.RESPONSE_TIME,)
    assert usage("Who is our heaviest user by tokens?").measures == (Measure.TOKENS,)


def test_without_a_period_the_month_so_far_is_meant() -> None:
    [period] = usage("What did we spend?").periods
    assert (period.first, period.last, period.is_default) == (date(2026, 3, 1), TODAY, True)


def test_a_change_without_a_second_period_is_from_the_one_before() -> None:
    last, before = usage("Did costs go down last week?").periods
    assert (last.first.day, before.first.day) == (9, 2)


def test_the_month_before_alone_is_the_one_before_this_month() -> None:
    this, last = usage("Compare the cost with the month before.").periods
    assert [this.first, this.last, last.first, last.last] == [
        date(2026, 3, 1),
        TODAY,
        date(2026, 2, 1),
        date(2026, 2, 28),
    ]
    assert usage("How much did we spend the month before?").periods == (last,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Compare the cost on 0001-01-01", Refusal.NOT_KEPT),
        ("Compare the cost on 0001-01-01 with the day before", Refusal.NOT_KEPT),
        ("Compare the cost on 9999-12-31", Refusal.FUTURE),
        ("Compare the cost in December 9999", Refusal.FUTURE),
    ],
)
def test_the_ends_of_the_calendar_are_refused(text: str, why: Refusal) -> None:
    assert recognise(text, TODAY, NAMES) == why


def test_what_may_be_asked_next_is_recognised() -> None:
    asked = [recognise(each.text, TODAY, NAMES) for each in questions() if each.kind == "computed"]
    plans = [plan for plan in asked if isinstance(plan, UsagePlan | StandingPlan)]
    assert len(plans) > 60
    for plan in plans:
        for question in follow_ups(plan):
            assert recognise(question, TODAY, NAMES) is not None, question


@given(st.text(max_size=300))
def test_any_text_is_recognised_or_not_and_never_fails(text: str) -> None:
    recognise(text, TODAY, NAMES)


WORDS = (
    "cost",
    "requests",
    "most",
    "model",
    "users",
    "per",
    "day",
    "budget",
    "left",
    "3",
    "last",
    "week",
    "alice",
    "than",
)


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_words_in_any_order_make_a_plan_or_none(words: list[str]) -> None:
    plan = recognise(" ".join(words), TODAY, NAMES)
    if isinstance(plan, UsagePlan):
        assert plan.measures
        assert len(plan.periods) == (2 if plan.form == "two_periods" else 1)
