"""Questions: how many of those with known answers are answered rightly, and how sure answers are.

The questions are in tests/data/questions. 50 of them are held out: no rule and no weight was made by looking at them.
"""

import statistics
import time
from collections.abc import Sequence

from benchmarks import answer_confidence as confidence
from benchmarks.markdown import table
from benchmarks.section import main
from sluice.answering.confidence import LOCAL, OTHERS
from sluice.guards.numerals import numerals_in
from tests.questions import Question, World, questions, supported_numbers

_KINDS = ("computed", "documents", "unanswerable", "hostile")
_THRESHOLDS = (0.5, 0.7, 0.8, 0.9)


def run(*, quick: bool) -> str:
    """Ask all questions, and fit the confidence anew."""
    world = World()
    rows = [
        _row(world, title, [each for each in questions() if each.set in sets])
        for title, sets in {
            "tuned": {"tuned"},
            "held out": {"held_out"},
            "all": {"tuned", "held_out"},
        }.items()
    ]
    samples = confidence.candidates()
    local, others = confidence.local_weights(samples), confidence.other_weights(samples)
    is_as_kept = (local, others) == (LOCAL, OTHERS)
    parts = [
        "Right of all, by kind of question; unanswerable ones are refused. Numbers without support are in no figure "
        "and in no document that the answer names.",
        table(["questions", *_KINDS, "numbers without support", "ms each"], rows),
        f"Weights fitted now are those in use: {'yes' if is_as_kept else f'no: {local}, {others}'}.",
    ]
    if not quick:
        parts.append(_calibration(samples))
    return "\n\n".join(parts)


def _row(world: World, title: str, asked: Sequence[Question]) -> list[str]:
    right = dict.fromkeys(_KINDS, 0)
    unsupported, times = 0, []
    for each in asked:
        start = time.perf_counter()
        found = world.ask(each.text)
        times.append(1000 * (time.perf_counter() - start))
        right[each.kind] += each.is_answered_by(found)
        unsupported += len(numerals_in(found.answer) - supported_numbers(found))
    cells = [f"{right[kind]} of {sum(each.kind == kind for each in asked)}" for kind in _KINDS]
    return [title, *cells, str(unsupported), f"{statistics.median(times):.1f}"]


def _calibration(samples: Sequence[confidence.Candidates]) -> str:
    rows = []
    for title, found in {
        "cosine, margin and words": confidence.across_folds(samples, confidence.local_weights),
        "margin and words": confidence.across_folds(samples, confidence.other_weights),
        "the bare cosine": confidence.by_cosine(samples),
    }.items():
        cells = []
        for threshold in _THRESHOLDS:
            sure = [is_right for chance, is_right in found if chance >= threshold]
            cells.append(f"{sum(sure)} of {len(sure)}")
        rows.append([title, f"{confidence.calibration_error(found):.3f}", *cells])
    titles = ["", "calibration error", *(f"right of those from {each} on" for each in _THRESHOLDS)]
    return (
        f"How sure answers from documents are, over {len(samples)} cases in ten folds, half of them without the "
        f"passage that answers:\n\n{table(titles, rows)}"
    )


if __name__ == "__main__":
    main(run)
