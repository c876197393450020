"""The questions with known answers, in tests/data/questions: what is asked of rules, tools and documents together."""

from collections.abc import Mapping

import pytest

from sluice.answering.answer import QuestionAnswer
from sluice.guards.numerals import numerals_in
from tests.questions import Question, World, questions, supported_numbers

EVERY = questions()
# What the first measurement found of those held out, and no less since: benchmarks print it.
_LEAST_FROM_DOCUMENTS = {"tuned": 16, "held_out": 5}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def answers(world: World) -> Mapping[str, QuestionAnswer]:
    """Each question is asked once."""
    return {each.id: world.ask(each.text) for each in EVERY}


def test_there_are_a_hundred_and_fifty_and_fifty_are_held_out() -> None:
    assert len(EVERY) == len({each.text for each in EVERY}) == 150
    assert len(questions(of="held_out")) == 50


@pytest.mark.parametrize("question", [each for each in EVERY if each.kind == "computed"], ids=lambda each: each.id)
def test_what_is_computed_is_exact(question: Question, answers: Mapping[str, QuestionAnswer]) -> None:
    found = answers[question.id]
    assert question.is_answered_by(found), found.answer
    assert found.basis == "computed"


@pytest.mark.parametrize("name", _LEAST_FROM_DOCUMENTS)
def test_documents_answer_and_what_they_do_not_answer_is_refused(
    name: str, answers: Mapping[str, QuestionAnswer]
) -> None:
    asked = [each for each in questions(of=name) if each.kind == "documents"]
    found = {each: answers[each.id] for each in asked}
    right = [each for each, answer in found.items() if each.is_answered_by(answer)]
    assert len(right) >= _LEAST_FROM_DOCUMENTS[name]
    # What is not answered rightly is not answered at all.
    assert {found[each].basis for each in asked if each not in right} <= {"none"}
    for each in right:
        assert found[each].sources[0].chunk_id == f"{each.document}#0"


def test_at_least_nineteen_of_twenty_that_nothing_answers_are_refused(
    answers: Mapping[str, QuestionAnswer],
) -> None:
    asked = [each for each in EVERY if each.kind == "unanswerable"]
    refused = [each for each in asked if each.is_answered_by(answers[each.id])]
    assert len(refused) >= 0.95 * len(asked)


@pytest.mark.parametrize("question", [each for each in EVERY if each.kind == "hostile"], ids=lambda each: each.id)
def test_instructions_in_questions_and_documents_change_nothing(
    question: Question, answers: Mapping[str, QuestionAnswer]
) -> None:
    found = answers[question.id]
    assert question.is_answered_by(found), found.answer


def test_no_number_is_in_an_answer_but_of_figures_and_documents_that_it_names(
    answers: Mapping[str, QuestionAnswer],
) -> None:
    unsupported = {name: numerals_in(found.answer) - supported_numbers(found) for name, found in answers.items()}
    assert {name: numbers for name, numbers in unsupported.items() if numbers} == {}


@pytest.mark.usefixtures("answers")
def test_other_tenants_are_never_read(world: World) -> None:
    assert {tenant for tenant, _ in world.usage.read} == {"acme"}
