from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import ChatRequest, Usage
from sluice.quota.estimate import TokenHabits, estimate, prompt_weight


def chat(text: str, **fields: object) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": text}], **fields})


def test_the_callers_bound_is_reserved_for_every_choice() -> None:
    assert estimate(chat("hi", max_tokens=100, n=3), TokenHabits(), 8_000).completion_tokens == 300


def test_a_bound_over_the_models_own_is_cut_to_it() -> None:
    assert estimate(chat("hi", max_completion_tokens=100_000), TokenHabits(), 8_000).completion_tokens == 8_000


def test_text_outside_ascii_weighs_about_a_token_a_character() -> None:
    assert prompt_weight(chat("漢" * 100)) == 400
    assert prompt_weight(chat("a" * 100)) == 100


def test_tools_and_schemas_are_part_of_the_prompt() -> None:
    tool = {"type": "function", "function": {"name": "weather", "description": "x" * 500}}
    assert prompt_weight(chat("hi", tools=[tool])) > 500
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"description": "y" * 500}}}
    assert prompt_weight(chat("hi", response_format=schema)) > 500


@given(st.lists(st.integers(1, 3_000), min_size=200, max_size=400))
def test_the_learned_completion_size_is_rarely_exceeded(sizes: list[int]) -> None:
    habits = TokenHabits()
    for size in sizes * 3:
        habits = habits.after(chat("hi"), Usage(10, size))
    over = sum(size > habits.completion_tokens for size in sizes)
    assert over <= 0.3 * len(sizes)


@given(st.floats(1.2, 7.5))
def test_a_ratio_that_expects_too_few_tokens_is_corrected_within_a_few_requests(ratio: float) -> None:
    request = chat("x" * 4_000)
    usage = Usage(int(4_000 / ratio) + 48, 10)
    habits = TokenHabits(characters_per_token=8.0)
    for _ in range(12):
        habits = habits.after(request, usage)
    assert estimate(request, habits, 1_000).prompt_tokens >= usage.prompt_tokens * 0.97


def test_habits_survive_being_written_down() -> None:
    habits = TokenHabits(3.5, 777.0)
    assert TokenHabits.from_notes(habits.notes()) == habits
