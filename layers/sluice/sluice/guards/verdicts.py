"""Verdicts of guard models: what their answers say of a text. Pure.

A classifier such as Llama Prompt Guard 2 answers how probable an attack is, "0.9983" at Groq, or its label. Llama Guard
answers "safe", or "unsafe" and, in the next line, the categories of MLCommons' taxonomy, "S1,S10". Sources:
https://www.llama.com/docs/model-cards-and-prompt-formats/prompt-guard/ and .../llama-guard-4/.
"""

import re

from sluice.loading.dataclass import dataclass

_PROBABILITY = re.compile(r"[01](?:\.\d*)?|\.\d+|\d(?:\.\d*)?e-\d{1,3}", re.ASCII | re.IGNORECASE)
_LABELS = {"benign": 0.0, "label_0": 0.0, "malicious": 1.0, "label_1": 1.0, "injection": 1.0, "jailbreak": 1.0}
_SAFETY = re.compile(r"(safe)|unsafe(?:\s+(S\d{1,2}(?:\s*,\s*S\d{1,2}){0,20}))?", re.ASCII | re.IGNORECASE)


class UnreadableVerdictError(ValueError):
    """What a guard model answered is no verdict. Its text is not repeated: it may quote what was judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure a guard model is that a text is bad, in 0..1, and which categories it is in, if it names any."""

    risk: float
    categories: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As records show it: the categories, or the number."""
        return ",".join(self.categories) or f"{self.risk:.3f}"


def read_verdict(kind: str, text: str) -> Verdict:
    """What a guard model of a `kind` of VERDICTS said. Raises UnreadableVerdictError for anything else."""
    said = text.strip()
    if kind == "probability":
        return Verdict(_probability(said))
    found = _SAFETY.fullmatch(said)
    if found is None:
        raise UnreadableVerdictError
    safe, categories = found.groups()
    if safe:
        return Verdict(0.0)
    return Verdict(1.0, tuple(name.strip().upper() for name in (categories or "").split(",") if name.strip()))


def _probability(said: str) -> float:
    label = _LABELS.get(said.lower())
    if label is not None:
        return label
    if not _PROBABILITY.fullmatch(said) or (value := float(said)) > 1:
        raise UnreadableVerdictError
    return value
