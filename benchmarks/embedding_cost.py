"""What the embeddings of a client's month cost, with the catalogue's prices. Nothing is measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.markdown import table
from benchmarks.section import main
from sluice.catalog.catalog import catalog
from sluice.catalog.model import Model

# Of English text in tokenizers of today; estimates of the gateway are closer, and say much the same.
_TOKENS_PER_WORD = 4 / 3
_GOAL_USD = 10.0
_MILLION = 10**6


@dataclass(frozen=True, slots=True)
class Texts:
    """So many texts of so many words."""

    name: str
    count: int
    words: int

    @property
    def tokens(self) -> float:
        """All of them together."""
        return self.count * self.words * _TOKENS_PER_WORD


# A client of some fifty developers. Edits count as texts of their own: what has not changed costs nothing.
MONTH = (
    Texts("Jira issues made or edited", 5_000, 150),
    Texts("comments on them", 10_000, 40),
    Texts("pull requests made or edited", 2_000, 200),
    Texts("reviews and their comments", 6_000, 40),
    Texts("commits", 20_000, 25),
    Texts("searches", 50_000, 10),
)
BACKFILL = (
    Texts("commits", 100_000, 25),
    Texts("issues with their last comments", 50_000, 250),
    Texts("pull requests", 20_000, 200),
)


def cost_usd(model: Model, texts: Sequence[Texts]) -> float:
    """What the vectors of texts cost by the catalogue's price."""
    return sum(each.tokens for each in texts) / _MILLION * model.price.prompt_usd


def run(*, quick: bool) -> str:
    """A row for each embedding model that has a price. `quick` is all the same here."""
    models = [each for each in catalog().models if each.vectors is not None and each.price.is_known]
    said = ", ".join(f"{each.count:,} {each.name} of {each.words} words" for each in MONTH)
    first = ", ".join(f"{each.count:,} {each.name} of {each.words} words" for each in BACKFILL)
    rows = [_row(model) for model in models]
    return (
        f"A month is {said}: {sum(each.tokens for each in MONTH) / _MILLION:.1f} million tokens, {4 / 3:.2f} a word. "
        f"Before the first one come, once, {first}: {sum(each.tokens for each in BACKFILL) / _MILLION:.1f} million. "
        f"The goal is ${_GOAL_USD:.0f} a month. Without what AWS bills for the requests.\n\n"
        + table(["model", "a million tokens", "a month", "what comes before", "first month", "goal"], rows)
    )


def _row(model: Model) -> list[str]:
    month, before = cost_usd(model, MONTH), cost_usd(model, BACKFILL)
    verdict = "kept" if month + before <= _GOAL_USD else "missed"
    return [
        f"`{model.id}`",
        f"${model.price.prompt_usd:.2f}",
        f"${month:.3f}",
        f"${before:.3f}",
        f"${month + before:.2f}",
        verdict,
    ]


if __name__ == "__main__":
    main(run)
