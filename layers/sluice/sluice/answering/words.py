"""The words of a question as rules read them: lower case, without punctuation around them. Pure."""

import re

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})
_POSSESSIVE = re.compile(r"'s\b|(?<=s)'(?!\w)")
_BETWEEN = re.compile(r"[^\w./:@+'%-]+|(?<!\w)[./:@+'%-]+|[./:@+'%-]+(?!\w)")
_CLAUSE = re.compile(
    r"[?!;]+\s*|(?<!\d)\.\s+|,?\s+and\s+(?=(?:what|how|who|which|when|where|why|is|are|does|do|did)\b)|"
    r",\s+(?=(?:what|how|who|which|when|where|why)\b)|\s+--\s+|:\s+(?=(?:what|how|who|which)\b)",
    re.IGNORECASE,
)
_MOST_CLAUSES = 4


def plain(text: str) -> str:
    """The words of a text, in lower case, with a space between each two of them."""
    text = _POSSESSIVE.sub("", text.translate(_APOSTROPHES).casefold())
    return " ".join(_BETWEEN.sub(" ", text).split())


def clauses(text: str) -> list[str]:
    """The questions that a text is made of, at most a few; the last one has the rest."""
    found = [each.strip() for each in _CLAUSE.split(text, maxsplit=_MOST_CLAUSES - 1)]
    return [each for each in found if plain(each)]
