from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sluice.gateway.text_batches import BatchBounds, batches
from sluice.quota.request_size import RequestSize, TextSize

SIZES = st.lists(st.text(min_size=1, max_size=60).map(TextSize.of), max_size=60)


@given(sizes=SIZES, inputs=st.integers(1, 10), tokens=st.integers(1, 200))
def test_batches_hold_every_text_once_in_order_and_keep_within_their_bounds(
    sizes: list[TextSize], inputs: int, tokens: int
) -> None:
    bounds = BatchBounds(inputs, tokens)
    cut = list(batches(sizes, bounds))
    assert [position for each in cut for position in range(len(sizes))[each]] == list(range(len(sizes)))
    for each in cut:
        several = sizes[each]
        assert 1 <= len(several) <= inputs
        # A text that is over the bound by itself is for the provider to judge.
        assert len(several) == 1 or sum(size.tokens("default") for size in several) <= tokens


@given(sizes=SIZES, inputs=st.integers(1, 10), tokens=st.integers(1, 200))
def test_no_two_neighbours_would_fit_into_one_batch(sizes: list[TextSize], inputs: int, tokens: int) -> None:
    cut = list(batches(sizes, BatchBounds(inputs, tokens)))
    for first, second in pairwise(cut):
        joined = sizes[first.start : second.start + 1]
        assert len(joined) > inputs or sum(size.tokens("default") for size in joined) > tokens


@given(sizes=SIZES)
def test_a_batch_is_as_large_as_its_texts_together(sizes: list[TextSize]) -> None:
    whole = RequestSize.of_texts(sizes)
    assert whole.most == sum(size.most for size in sizes)
    assert whole.characters == sum(size.characters for size in sizes)
    assert (whole.completion_limit, whole.has_media) == (0, False)
