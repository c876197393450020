"""Windows over a text that is longer than a model can read; each overlaps the one before. Pure."""

from collections.abc import Callable

from sluice.loading.dataclass import dataclass

_OVERLAP = 8  # a part of a window


@dataclass(frozen=True, slots=True)
class Windows:
    """Parts of a text, in order. `is_whole`: together they are all of it."""

    texts: tuple[str, ...]
    is_whole: bool


def windows(text: str, *, tokens: Callable[[str], int], most_tokens: int, most_windows: int) -> Windows:
    """Cut `text` into windows of at most `most_tokens` as `tokens` counts them, and so many at most.

    A single character counts as fitting. An eighth of each window is in the next one as well.
    """
    found: list[str] = []
    start = 0
    while start < len(text) and len(found) < most_windows:
        # No token is shorter than a byte, and few are longer than eight characters: more is not worth counting.
        window = text[start : start + 8 * most_tokens]
        while len(window) > 1 and (counted := tokens(window)) > most_tokens:
            window = window[: max(1, min(len(window) - 1, len(window) * most_tokens // counted))]
        found.append(window)
        start += len(window)
        if start < len(text):
            start -= len(window) // _OVERLAP
    return Windows(tuple(found), start >= len(text))
