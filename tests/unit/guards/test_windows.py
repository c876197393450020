"""Windows over long texts."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.guards.windows import windows
from sluice.quota.tokens import tokens

# Words, emoji and signs: what tokenizers make little and much of.
TEXTS = st.text(st.sampled_from("ab cé漢\U0001f44d\n{}0"), max_size=600)


@given(TEXTS, st.integers(8, 60))
def test_together_they_are_all_of_the_text_and_each_fits(text: str, most: int) -> None:
    found = windows(text, tokens=tokens, most_tokens=most, most_windows=10_000)
    assert found.is_whole
    assert all(tokens(each) <= most or len(each) == 1 for each in found.texts)
    start = 0
    for each in found.texts:
        assert text[start : start + len(each)] == each
        end = start + len(each)
        start = end - len(each) // 8
    assert not text or end == len(text)


@given(TEXTS, st.integers(8, 60), st.integers(1, 5))
def test_there_are_never_more_than_allowed_and_it_says_whether_something_is_left(
    text: str, most: int, most_windows: int
) -> None:
    found = windows(text, tokens=tokens, most_tokens=most, most_windows=most_windows)
    assert len(found.texts) <= most_windows
    whole = windows(text, tokens=tokens, most_tokens=most, most_windows=10_000)
    assert found.is_whole == (len(whole.texts) <= most_windows)


def test_what_is_at_a_border_is_whole_in_one_of_two_windows() -> None:
    text = "".join(f"word{number} " for number in range(500))
    found = windows(text, tokens=tokens, most_tokens=300, most_windows=1000)
    assert all(any(f"word{number} word{number + 1} " in each for each in found.texts) for number in range(499))
