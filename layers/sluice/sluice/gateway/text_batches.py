"""Batches of texts: as many as one call of any deployment takes, in order. Pure."""

from collections.abc import Iterator, Sequence

from sluice.loading.dataclass import dataclass
from sluice.providers.deployment import Deployment
from sluice.quota.request_size import TextSize


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """What one call takes: so many texts, and so many tokens as `tokenizer` makes of them."""

    inputs: int
    tokens: int
    tokenizer: str = "default"

    @classmethod
    def of(cls, deployments: Sequence[Deployment]) -> "BatchBounds":
        """What a call of each of them takes: a batch has to fit whoever answers it in the end."""
        vectors = [each.model.vectors for each in deployments if each.model.vectors is not None]
        return cls(
            min(each.most_inputs for each in vectors),
            min(each.most_tokens for each in vectors),
            deployments[0].model.tokenizer,
        )


def batches(sizes: Sequence[TextSize], bounds: BatchBounds) -> Iterator[slice]:
    """Cut texts of these sizes into batches that keep within the bounds. A text that does not by itself is alone."""
    start = tokens = 0
    for position, size in enumerate(sizes):
        more = size.tokens(bounds.tokenizer)
        if position > start and (position - start == bounds.inputs or tokens + more > bounds.tokens):
            yield slice(start, position)
            start, tokens = position, 0
        tokens += more
    if start < len(sizes):
        yield slice(start, len(sizes))
