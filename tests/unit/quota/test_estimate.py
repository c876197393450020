from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import ChatRequest, Usage
from sluice.quota.estimate import TokenHabits, estimate, least_tokens, needs_upper_bound, upper_bound
from sluice.quota.request_size import ModelBounds, RequestSize
from tests.examples import examples

BOUNDS = ModelBounds(context_window=128_000, max_completion_tokens=8_000)
ANY: dict[str, Any] = {
    "temperature": 0.5,
    "seed": 7,
    "stop": ["END"],
    "user": "u" * 500,
    "logit_bias": {str(n): 1 for n in range(300)},
}


def size_of(text: str = "hi", **fields: Any) -> RequestSize:
    request = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return RequestSize.of(ChatRequest.model_validate(request))


def completion(size: RequestSize, habits: TokenHabits | None = None, **bounds: Any) -> int:
    limits: dict[str, Any] = {"context_window": 128_000, "max_completion_tokens": 8_000} | bounds
    return estimate(size, habits or TokenHabits(), ModelBounds(**limits)).completion_tokens


def test_the_callers_bound_is_reserved_for_every_choice() -> None:
    assert completion(size_of(max_tokens=100, n=3)) == 300


def test_the_larger_of_two_bounds_is_reserved() -> None:
    assert completion(size_of(max_tokens=90, max_completion_tokens=1)) == 90
    assert completion(size_of(max_tokens=1, max_completion_tokens=90)) == 90


def test_a_bound_over_the_models_own_is_cut_to_it() -> None:
    assert completion(size_of(max_completion_tokens=100_000)) == 8_000


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "description": "word " * 5_000}}]},
        {"functions": [{"name": "f", "description": "word " * 5_000}]},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"title": "word " * 5_000}},
            }
        },
        {"documents": [{"id": "1", "source": {"type": "text", "text": "word " * 5_000}}]},
        {"tool_prompt": "word " * 5_000},
        {"messages": [{"role": "user", "content": "hi", "name": "word " * 5_000}]},
        {"messages": [{"role": "user", "content": [{"type": "from_the_future", "x": ["word " * 5_000]}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "word " * 5_000}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "word" * 5_000}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "note": "word " * 5_000}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "text", "data": "word " * 5_000}}],
                }
            ]
        },
    ],
)
def test_everything_that_reaches_the_model_is_weighed(fields: dict[str, Any]) -> None:
    assert size_of(**fields).prompt_tokens(BOUNDS) >= 5_000


def test_a_document_weighs_the_same_in_either_way_of_sending_it() -> None:
    data = "JVBERi0xLjQK" * 5_000
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}}
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}
    either = [size_of(messages=[{"role": "user", "content": [part]}]) for part in (file, document)]
    assert either[0].prompt_tokens(BOUNDS) == pytest.approx(either[1].prompt_tokens(BOUNDS), rel=0.01)


def test_a_prediction_is_weighed_as_what_it_may_be_billed_as() -> None:
    predicted = size_of(max_tokens=10, prediction={"type": "content", "content": "word " * 5_000})
    assert completion(predicted) >= 5_000
    assert upper_bound(predicted, BOUNDS).completion_tokens >= 25_000


def test_settings_weigh_nothing() -> None:
    assert size_of(**ANY).prompt_tokens(BOUNDS) == size_of().prompt_tokens(BOUNDS)


def test_a_prompt_costs_at_most_what_a_model_takes() -> None:
    huge = size_of("漢" * 100_000)
    assert estimate(huge, TokenHabits(), BOUNDS).prompt_tokens == 128_000
    assert upper_bound(huge, BOUNDS).prompt_tokens == 128_000


@given(st.text(max_size=300), st.sampled_from(["default", "o200k", "gemma", "spm", "claude"]))
def test_no_estimate_is_over_the_upper_bound(text: str, tokenizer: str) -> None:
    size, bounds = size_of(text, max_tokens=50), ModelBounds(128_000, 8_000, tokenizer)
    most = upper_bound(size, bounds)
    assert estimate(size, TokenHabits(), bounds).total_tokens <= most.total_tokens
    assert most.prompt_tokens >= len(text.encode("utf-8", "surrogatepass"))


def test_the_upper_bound_is_taken_when_few_requests_are_left() -> None:
    assert needs_upper_bound(999, 100)
    assert not needs_upper_bound(1_000, 100)


@given(guess=st.floats(16, 50_000), room=st.integers(0, 6_000), words=st.integers(0, 1_000))
def test_a_guess_never_exceeds_what_fits(guess: float, room: int, words: int) -> None:
    size, habits = size_of("word " * words), TokenHabits(completion_tokens=guess)
    bounds = ModelBounds(128_000, 50_000, limit_tokens=6_000, room_tokens=room)
    reserved = estimate(size, habits, bounds)
    assert reserved.total_tokens <= max(6_000, reserved.prompt_tokens + 1)


def test_small_requests_go_on_after_answers_longer_than_the_limit() -> None:
    habits = TokenHabits()
    small = size_of("hi")
    for _ in range(2):
        habits = habits.after(small, Usage(20, 8_000), BOUNDS)
    used = 0
    for _ in range(30):
        bounds = ModelBounds(128_000, 50_000, limit_tokens=6_000, room_tokens=6_000 - used)
        reserved = estimate(small, habits, bounds)
        assert used + reserved.total_tokens <= 6_000
        used += 100
        habits = habits.after(small, Usage(20, 80), bounds)


def test_what_the_caller_bounds_is_no_guess() -> None:
    assert completion(size_of(max_tokens=7_000), limit_tokens=6_000, room_tokens=10) == 7_000


@hypothesis.settings(max_examples=examples(15))
@given(st.lists(st.integers(1, 3_000), min_size=200, max_size=400))
def test_the_learned_completion_size_is_rarely_exceeded(sizes: list[int]) -> None:
    habits = TokenHabits()
    for size in sizes * 3:
        habits = habits.after(size_of(), Usage(10, size), BOUNDS)
    over = sum(size > habits.completion_tokens for size in sizes)
    assert over <= 0.3 * len(sizes)


LONG = size_of("word " * 2_000)


@given(st.floats(0.2, 4.0))
def test_a_prompt_that_cost_more_is_expected_to_at_once(factor: float) -> None:
    usage = Usage(int(LONG.prompt_tokens(BOUNDS) * factor), 10)
    habits = TokenHabits().after(LONG, usage, BOUNDS)
    assert estimate(LONG, habits, BOUNDS).prompt_tokens >= usage.prompt_tokens


def test_a_ratio_comes_down_slowly_and_never_below_one() -> None:
    habits = TokenHabits(prompt_ratio=2.0)
    habits = habits.after(LONG, Usage(LONG.prompt_tokens(BOUNDS), 10), BOUNDS)
    assert habits.prompt_ratio == pytest.approx(1.98)
    blanks = size_of(" " * 50_000)
    floor = size_of("word " * 100).prompt_tokens(BOUNDS)
    for _ in range(500):
        for size in (LONG, blanks, size_of("a" * 4_000)):
            habits = habits.after(size, Usage(1, 1), BOUNDS)
    assert habits.prompt_ratio == 1.0
    assert estimate(size_of("word " * 100), habits, BOUNDS).prompt_tokens == floor


def test_what_a_provider_adds_to_short_prompts_is_learned_beside_the_ratio() -> None:
    short = size_of("hi")
    habits = TokenHabits().after(short, Usage(short.prompt_tokens(BOUNDS) + 200, 10), BOUNDS)
    assert habits.prompt_ratio == 1.0
    assert estimate(short, habits, BOUNDS).prompt_tokens == short.prompt_tokens(BOUNDS) + 200
    for _ in range(500):
        habits = habits.after(short, Usage(10, 10), BOUNDS)
    assert habits.prompt_overhead < 1


def test_images_teach_nothing_of_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    size = size_of(messages=[{"role": "user", "content": [{"type": "text", "text": "word " * 2_000}, image]}])
    habits = TokenHabits().after(size, Usage(100_000, 10), BOUNDS)
    assert (habits.prompt_ratio, habits.prompt_overhead) == (1.0, 0.0)


def test_habits_survive_being_written_down() -> None:
    habits = TokenHabits(1.5, 70.0, 777.0)
    assert TokenHabits.from_notes(habits.notes()) == habits
    # What was kept before says nothing of these.
    assert TokenHabits.from_notes({"characters_per_token": 3.5}) == TokenHabits()


def test_characters_are_counted_as_they_are() -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "漢字 ab"}]})
    assert RequestSize.of(request).characters == 5


@given(st.text(max_size=300))
def test_the_least_is_less_than_the_estimate(text: str) -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": text}]})
    assert least_tokens(request) <= RequestSize.of(request).prompt_tokens(BOUNDS)
